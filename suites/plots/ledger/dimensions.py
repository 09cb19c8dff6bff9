"""The picture of sizes against k: which sizes of a step's matrix products grow from step to step, and which do not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ...words.quantity import counted
from ..style import RC, Legend, new_figure
from .canvas import LOOKS
from .panels import COLUMNS, Panel, beams_of, in_rows, merge, prefix_rows, source_told, steps_at
from .tensor import Mark, factors, mark_of

NAME = "dimensions"
# Kind of size -> (legend, marker). Where sizes are equal, one marker is seen inside another.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "rows": ("rows: of self.*, cross.* and ffn.*", {"marker": "o", "markersize": 8, "markerfacecolor": "none"}),
    "keys": ("keys: columns of self.scores, inner size of self.context", {"marker": "^", "markersize": 4.5}),
    "source": (
        "source: columns of cross.scores, inner size of cross.context",
        {"marker": "s", "markersize": 8, "markerfacecolor": "none"},
    ),
    "cross.kv": ("cross.kv: rows that it projects, where every step does", {"marker": "D", "markersize": 4}),
    "lm_head": ("lm_head: its rows", {"marker": "x", "markersize": 5}),
}
_FROM = {"self.scores": ("rows", "keys"), "cross.scores": ("", "source"), "cross.kv": ("cross.kv", ""),
         "cross.k": ("cross.kv", ""), "lm_head": ("lm_head", "")}  # fmt: skip
_COLORS: dict[Mark, str] = {"grows": "grows with k", "S": "source length S", "C": "capacity C", "": "one row"}


def panels(ledger: pd.DataFrame, src_len: int) -> list[Panel]:
    """Make the panels of one source length. Their columns are named ``family letters``: ``keys k``, ``rows 1``."""
    rows = steps_at(ledger, src_len)
    found = {}
    for strategy, mine in rows.groupby("strategy", sort=False):
        values: dict[str, dict[int, int]] = {}
        for name, k, size in _sizes(mine):
            values.setdefault(name, {})[k] = size
        table = pd.DataFrame(values)
        found[str(strategy)] = table[sorted(table, key=_order)]
    return merge(found)


def at_prefill(ledger: pd.DataFrame, src_len: int) -> dict[str, dict[str, int]]:
    """Map each strategy for which prefill feeds rows of a prefix to the sizes then: rows and keys of self-attention."""
    rows = prefix_rows(ledger, src_len)
    rows = rows[rows["role"] == "self.scores"].assign(k=0)
    return {
        str(strategy): {name.split(" ")[0]: size for name, _, size in _sizes(mine)}
        for strategy, mine in rows.groupby("strategy", sort=False)
    }


def _sizes(rows: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    """Yield ``family letters``, k and the number, for each size of products that a curve shows."""
    for row in rows[rows["role"].isin(_FROM)].to_dict("records"):
        left, right = factors(str(row["shape"]), str(row["shape_numbers"]))
        for family, tensor, place in zip(_FROM[str(row["role"])], (left, right), (-2, -1), strict=True):
            if family:
                yield f"{family} {tensor.letters[place]}", int(row["k"]), tensor.numbers[place]


def _order(name: object) -> int:
    return list(FAMILIES).index(str(name).split(" ")[0])


def _grows(panel: Panel, family: str) -> bool:
    return any(name.startswith(f"{family} ") and mark_of(name.split(" ")[1:]) == "grows" for name in panel.columns)


def message(found: Sequence[Panel]) -> str:
    """Say in how many strategies rows and keys grow, in how many keys alone, and in how many neither."""
    kinds: dict[str, list[str]] = {"rows and keys grow": [], "keys alone grow": [], "neither grows": []}
    for panel in found:
        rows, keys = _grows(panel, "rows"), _grows(panel, "keys")
        kinds["rows and keys grow" if rows else "keys alone grow" if keys else "neither grows"] += panel.strategies
    first, last = int(found[0].values.index[0]), found[0].last
    steps = f"k = {first} to {last}" if first < last else f"k = {last}"
    every = sum(map(len, kinds.values()))
    if every == 1:
        ((kind, [name]),) = ((kind, names) for kind, names in kinds.items() if names)
        kind = kind.replace("neither grows", "neither rows nor keys grow")
        return f"{name}, {steps}: {kind}"
    first_kind, *others = [f"{kind} in {len(names)}" for kind, names in kinds.items() if names]
    told = ", ".join([first_kind, *(re.sub(" grows?", "", other) for other in others)])
    return f"{steps}, {every} strategies: {told}"


def figure(found: Sequence[Panel], foot: str, before: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw one panel per set of strategies whose sizes are equal, all on one scale.

    ``before`` are the sizes ``at_prefill``, which are drawn to the left of the first step.
    """
    rows = in_rows(found)
    columns = min(COLUMNS, len(found))
    families = [name for name in FAMILIES if any(c.startswith(f"{name} ") for panel in found for c in panel.columns)]
    marks = {mark_of(c.split(" ")[1:]) for panel in found for c in panel.columns}
    legend = Legend(
        [(FAMILIES[name][0], {**FAMILIES[name][1], "color": "#333333", "linewidth": 0}) for name in families]
        + [(text, _line(mark)) for mark, text in _COLORS.items() if mark in marks]
    )
    lines = sum(max(len(panel.strategies) for panel in row) for row in rows)
    drawn, grid = new_figure(message(found), foot, legend, len(rows), columns, 0.9 + 1.55 * len(rows) + 0.14 * lines)
    last = max(panel.last for panel in found)
    highest = max(int(panel.values.max().max()) for panel in found)
    with mpl.rc_context(RC):
        for line, row in zip(grid, rows, strict=True):
            for axes, panel in zip(line, row, strict=False):
                _panel(axes, panel, highest, columns)
                _powers(axes, panel, last, highest)
                if before:
                    _prefill(axes, panel, before.get(panel.strategies[0], {}))
            line[0].set_ylabel("size (rows or keys)")
            for axes in line[len(row) :]:
                axes.axis("off")
        for place in range(columns):
            lowest = max(number for number, row in enumerate(rows) if place < len(row))
            grid[lowest][place].set_xlabel("keys attended at the step, k")
    return drawn


def _line(mark: Mark) -> dict[str, Any]:
    return {"color": LOOKS[mark].color, "linewidth": LOOKS[mark].width}


def _panel(axes: Axes, panel: Panel, highest: int, columns: int) -> None:
    k = panel.values.index.to_numpy(dtype=float)
    same: dict[tuple[int, ...], list[str]] = {}
    for name in panel.columns:
        family, letter = name.split(" ")
        axes.plot(k, panel.values[name], gid=name, **FAMILIES[family][1], **_line(mark_of([letter])))
        same.setdefault(tuple(panel.values[name]), []).append(name)
    taken: dict[str, float] = {}
    for sizes, names in sorted(same.items(), reverse=True):
        _label(axes, k, sizes, names, highest, taken)
    panel.write_title(axes, columns)


def _label(
    axes: Axes, k: Any, sizes: tuple[int, ...], names: Sequence[str], highest: int, taken: dict[str, float]
) -> None:
    """Label a curve with the families that coincide in it and the letter that they follow.

    ``taken`` maps "left" and "right" to the height of the last label there.
    """
    letters: dict[str, list[str]] = {}
    for name in names:
        family, letter = name.split(" ")
        letters.setdefault(letter, []).append(family)
    flat = len(set(sizes)) == 1
    text = ";  ".join(
        f"{', '.join(families)}: {letter}" + (f" = {sizes[-1]}" if flat and not letter.isdecimal() else "")
        for letter, families in letters.items()
    )
    color = LOOKS[mark_of(letters)].color
    if not flat:
        place = min(range(len(k)), key=lambda i: abs(math.log(k[i]) - math.log(k[0] * k[-1]) / 2))
        axes.annotate(
            text, (k[place], sizes[place]), (8, -3), textcoords="offset points", fontsize=8, color=color, va="top"
        )
        return
    # A low line has its label on the right and a high line on the left, away from the curves that rise between them.
    side = "left" if sizes[0] >= math.sqrt(highest) or len(k) == 1 else "right"
    below = taken.get(side, math.inf) < 2.2 * sizes[0]
    taken[side] = sizes[0]
    axes.annotate(
        text, (k[0] if side == "left" else k[-1], sizes[0]), (0, -7 if below else 6), textcoords="offset points",
        fontsize=8, color=color, ha=side, va="top" if below else "bottom",
    )  # fmt: skip


def _prefill(axes: Axes, panel: Panel, sizes: Mapping[str, int]) -> None:
    """Mark the sizes of the pass over a prefix at P - 1, the keys that its last row attends, apart from the steps."""
    first = int(panel.values.index[0])
    for family, size in sizes.items():
        axes.plot([first - 1], [size], gid=f"prefill {family}", **FAMILIES[family][1], color="#333333", linewidth=0)
    edge, right = math.sqrt((first - 1) * first), axes.get_xlim()[1]
    axes.axvline(edge, color="#999999", linewidth=0.8, linestyle=":")
    axes.set_xlim(min((first - 1) * 0.9, edge / (right / edge) ** 0.18), right)  # room for the word
    axes.annotate("prefill ", (edge, 1), xycoords=("data", "axes fraction"), fontsize=7, ha="right", va="top")


def _powers(axes: Axes, panel: Panel, last: int, highest: int) -> None:
    """Set both axes to powers of two, so that what is proportional to k is a straight line."""
    for axis, top in ((axes.xaxis, last), (axes.yaxis, highest)):
        step = 1 if top <= 16 else 2
        ticks = [2**i for i in range(0, math.ceil(math.log2(max(top, 2))) + 1, step)]
        (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log", base=2)
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_minor_locator(NullLocator())
    first = int(panel.values.index[0])
    if first == last:
        axes.set_xticks([last], [str(last)])
    axes.set_xlim(first * (0.85 if first < last else 0.5), last * (1.18 if first < last else 2))
    axes.set_ylim(0.7, max(highest, 2) ** 1.12 * 2.4)


def draw(ledger: pd.DataFrame, src_len: int) -> tuple[Figure, str]:
    """Return the figure and its caption."""
    found = panels(ledger, src_len)
    of, times = ("beam", "BW") if beams_of(ledger) > 1 else ("sentence", "B")
    foot = (
        f"{source_told(ledger, src_len).capitalize()}. Both axes in powers of two. Rows are of one {of}; "
        f"a product has {times} times as many."
    )
    before = at_prefill(ledger, src_len)
    if before:
        rows = max(sizes["rows"] for sizes in before.values())
        foot += f" Left of the dotted line: the pass in which prefill feeds {counted(rows, 'row')} of the prefix."
    return figure(found, foot, before), (
        "The sizes in a step's matrix products that are not set by the model alone, against k, the number of "
        "tokens that self-attention looks at. A flat line means the same work at every step, a straight rise "
        "means work that grows with each token. Without a cache both the rows that are fed and the keys rise; "
        "with one a single new row is fed, and only the keys rise, since earlier tokens are still looked at. The "
        "source's length never changes from step to step. Strategies whose sizes are equal share a panel."
    )
