"""The picture of self-attention's scores as rectangles to scale: what is computed at a step, and what was kept."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ...words.quantity import counted
from ..style import RC, WIDTH_IN, Legend, new_figure
from .canvas import LOOKS, width_in
from .panels import Panel, beams_of, merge, prefilled, prefix_rows, steps_at
from .tensor import Tensor, factors

NAME = "matrices"
# What a part of a matrix is -> (legend, its look).
LOOK: dict[str, tuple[str, dict[str, Any]]] = {
    "new": ("computed at this step", {"facecolor": LOOKS["grows"].color, "edgecolor": LOOKS["grows"].color}),
    "kept": ("K of earlier tokens, kept in the cache", {"facecolor": "#F2B8C8"}),
    "unwritten": ("buffer that holds no token yet", {"facecolor": LOOKS["C"].tint, "hatch": "////"}),
    "result": ("scores, Q times Kᵀ", {"facecolor": "#C9C9C9"}),
}
PREFILL = 0
"""Stands in the place of k for the pass in which prefill feeds rows of a prefix."""
STEPS = 3
"""Greatest number of steps that are drawn side by side."""
LABEL_IN = 0.85
"""Width of the label of Q, in inches."""
_EDGE: dict[str, Any] = {"edgecolor": "#555555", "linewidth": 0.4}


def panels(ledger: pd.DataFrame, src_len: int) -> list[Panel]:
    """Make a panel per set of strategies whose scores have equal sizes: rows, keys, head_size and new keys, by k.

    The sizes are those of one head of K in one sentence. Where prefill feeds rows of a prefix, they are at ``PREFILL``.
    """
    of_prefix, rows = prefix_rows(ledger, src_len), steps_at(ledger, src_len)
    if len(of_prefix):
        rows = pd.concat([rows, of_prefix.assign(k=PREFILL)])
    found = {}
    for strategy, mine in rows.groupby("strategy", sort=False):
        values: dict[int, dict[str, int]] = {}
        fed = {int(row["k"]): _factors(row)[0].numbers[1] for row in _of(mine, "cross.q")}
        for row in _of(mine, "self.scores"):
            (left, right), k = _factors(row), int(row["k"])
            query, keys = left.numbers[-2], right.numbers[-1]
            values[k] = {
                "rows": query,
                "keys": keys,
                "head_size": left.numbers[-1],
                "new": min(fed.get(k, query), keys),
            }
        if values:
            found[str(strategy)] = pd.DataFrame.from_dict(values, orient="index").sort_index()
    return merge(found)


def _of(rows: pd.DataFrame, role: str) -> list[dict[Hashable, Any]]:
    return rows[rows["role"] == role].to_dict("records")


def _factors(row: Mapping[Hashable, Any]) -> tuple[Tensor, Tensor]:
    return factors(str(row["shape"]), str(row["shape_numbers"]))


def shown_steps(steps: Sequence[int]) -> list[int]:
    """The first step of at least 2, one before the middle, and the last, as far as they exist.

    >>> shown_steps([1, 2, 3, 4, 8, 12, 22]), shown_steps([1]), shown_steps([1, 3])
    ([2, 8, 22], [1], [3])
    """
    later = [k for k in steps if k >= 2] or list(steps)
    return sorted({later[0], min(later, key=lambda k: abs(k - later[-1] / 2.5)), later[-1]})


def message(found: Sequence[Panel]) -> str:
    """Say how many rows of K are computed at the last step, and with which strategies."""
    last = max(panel.last for panel in found)
    by_new: dict[int, list[str]] = {}
    for panel in found:
        by_new.setdefault(int(panel.values["new"][panel.last]), []).extend(panel.strategies)
    if len(found) == len(found[0].strategies) == 1:
        (new,) = by_new
        return f"{found[0].name}, step k = {last}: computes {new} row{'s' * (new > 1)} of K, keeps {last - new}"
    told = ", ".join(f"{new} with {_named(names)}" for new, names in by_new.items())
    return f"Rows of K that step k = {last} computes: {told}"


def _named(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{len(names)} strategies"


def figure(found: Sequence[Panel], foot: str) -> Figure:
    """Draw a row of steps per set of strategies, all matrices to one scale."""
    steps = shown_steps([int(k) for k in found[0].values.index])
    if any(PREFILL in panel.values.index for panel in found):
        steps = [PREFILL, *steps]
    kinds = {kind for panel in found for k in steps if k in panel.values.index for _, _, kind in _keys(panel, k)}
    where = " or in prefill" if PREFILL in steps else ""
    shown = [
        (text + (where if kind == "new" else ""), _EDGE | look)
        for kind, (text, look) in LOOK.items()
        if kind in {*kinds, "new", "result"}
    ]
    depth, widest = (max(int(panel.values[name].max()) for panel in found) for name in ("head_size", "keys"))
    cell_in, gap = (WIDTH_IN - 0.2) / max(STEPS, len(steps)), 0.06 * (depth + widest)
    unit_in = cell_in / (depth + widest + 4 * gap)
    if depth * unit_in < LABEL_IN:  # as short as the target is long; then Q takes the width of its label
        unit_in = (cell_in - LABEL_IN) / (widest + 4 * gap)
    aside = max(depth, LABEL_IN / unit_in) + gap
    cell, line = cell_in / unit_in, 0.16 / unit_in
    heights = [depth + gap + int(panel.values["rows"].max()) + 5.6 * line for panel in found]
    top = sum(heights)
    drawn, [[axes]] = new_figure(message(found), foot, Legend(shown, artist=Patch), height=0.9 + top * unit_in)
    axes.axis("off")
    axes.set_aspect("equal")
    axes.set_xlim(0, max(STEPS, len(steps)) * cell)
    axes.set_ylim(0, top)
    with mpl.rc_context(RC):
        for panel, height in zip(found, heights, strict=True):
            names = ", ".join(panel.strategies)
            size = 8.5 * min(1.0, (WIDTH_IN - 0.3) / width_in(names, 8.5, bold=True))
            _text(axes, 0, top - 0.2 * line, names, "top", fontsize=size, fontweight="bold")
            for place, k in enumerate(steps):
                corner = place * cell, top - 3.6 * line
                if k in panel.values.index:
                    _step(axes, panel, k, corner, aside, gap, line)
                elif k == PREFILL:
                    _head(axes, corner, k, line)
                    _text(axes, corner[0], corner[1] + 0.2 * line, "feeds no row", "bottom")
            top -= height
    return drawn


def _keys(panel: Panel, k: int) -> Iterator[tuple[int, int, str]]:
    """Parts of the keys at step ``k``: (first, number, kind)."""
    keys, new = int(panel.values["keys"][k]), int(panel.values["new"][k])
    written = new if k == PREFILL else min(k, keys)
    parts = ((0, written - new, "kept"), (written - new, new, "new"), (written, keys - written, "unwritten"))
    for first, number, kind in parts:
        if number > 0:
            yield first, number, kind


def _step(axes: Axes, panel: Panel, k: int, corner: tuple[float, float], aside: float, gap: float, line: float) -> None:
    """Draw K transposed at the top, ``aside`` from the left, the scores below it, and Q to their left.

    ``corner`` is the left end and the top of K, ``line`` the height of a line of text, in units of the matrices.
    """
    rows, keys, depth = (int(panel.values[name][k]) for name in ("rows", "keys", "head_size"))
    (left, top), right = corner, corner[0] + aside
    bottom = top - depth - gap - rows
    boxes = [("Q", "new", (left, bottom), depth, rows), ("scores", "result", (right, bottom), keys, rows)]
    boxes += [(kind, kind, (right + first, top - depth), number, depth) for first, number, kind in _keys(panel, k)]
    for name, kind, at, width, height in boxes:
        axes.add_patch(Rectangle(at, width, height, gid=f"{name} {k}", **(_EDGE | LOOK[kind][1])))
    _head(axes, corner, k, line)
    _text(axes, right, top + 0.2 * line, f"Kᵀ {depth} x {keys}", "bottom")
    _text(axes, left, bottom + rows + 0.2 * line, f"Q {rows} x {depth}", "bottom")
    _text(axes, right, bottom - 0.2 * line, f"QKᵀ {rows} x {keys}", "top")


def _head(axes: Axes, corner: tuple[float, float], k: int, line: float) -> None:
    name = "prefill" if k == PREFILL else f"k = {k}"
    _text(axes, corner[0], corner[1] + 1.4 * line, name, "bottom", fontsize=8, fontweight="bold")


def _text(axes: Axes, x: float, y: float, text: str, va: str, **look: Any) -> None:
    style: dict[str, Any] = {"fontsize": 7, "color": "#333333"} | look
    axes.text(x, y, text, va=va, **style).set_in_layout(False)


def draw(ledger: pd.DataFrame, src_len: int) -> tuple[Figure, str]:
    """Return the figure and its caption."""
    found = panels(ledger, src_len)
    of = "of one beam" if beams_of(ledger) > 1 else "in one sentence"
    foot = f"One head of K {of}; all rectangles to one scale."
    fed = prefilled(ledger, src_len)
    if fed:
        foot += f" Prefill feeds {counted(max(fed.values()), 'row')} of the prefix where K and V are kept."
    before = " Before them stands prefill, which feeds all tokens of the prefix but the last." if fed else ""
    return figure(found, foot), (
        "The product of self-attention's scores at three steps, drawn as matrices to scale: Q on the left, K "
        "transposed above, and their product where they meet. What is computed at the step is dark, and what an "
        f"earlier step computed is pale.{before} Without a cache everything is dark and the scores are a square; with "
        "one, a single row of Q is new, and K gains one column. Strategies whose sizes are equal share a row."
    )
