"""The figure of memory: the peak of a whole round, and of it the K/V reserved and used."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..words.comparison import factor
from .ends import broken_up, ends_of, name_ends, named, panel_height_in
from .failed import mark_failed
from .kv_waste import NONE, SHADE, draw_reserved, waste_told, wastes
from .panels import left_out, shown_of
from .style import RC, Legend, new_figure, plain_log, share_y, swept_axis
from .view import View, has_several

PANELS = (
    ("kv_used_bytes", "K/V used"),
    ("kv_reserved_bytes", "K/V reserved"),
    ("peak_memory_bytes", "peak of a round"),
)
CROSS = ("kv_cross_bytes", "K/V of cross-attention")
"""What is drawn, too, where sentences have several beams, which may share it."""
LINES: dict[str, dict[str, Any]] = {
    "peak_memory_bytes": {"linestyle": "-", "linewidth": 1.8},
    "kv_reserved_bytes": {"linestyle": (0, (4, 2)), "linewidth": 1.2, "marker": ""},
    "kv_cross_bytes": {"linestyle": (0, (1, 1.5)), "linewidth": 1.6, "marker": ""},
}
"""How each size is drawn in a sweep, in the colour of the strategy."""


def sizes_of(view: View) -> list[tuple[str, str]]:
    """(column, text) of each size that is told of a view: with several beams also the K/V of cross-attention."""
    has_cross = has_several(view.table) and (view.table[CROSS[0]] > 0).any()
    return [*[CROSS] * bool(has_cross), *PANELS]


def figure(view: View) -> Figure | None:
    """Draw the sizes in one panel, in MiB above the weights; a panel for each batch. None if none are known.

    In a sweep, what is reserved and not used is shaded.
    """
    view = view.having("kv_reserved_bytes")
    if view.table.empty:
        return None
    column, label = view.axis
    every = view.every_panel
    panels = shown_of(every)
    rows = panels[-1][1]
    foot = f"{foot_of(view)}{left_out(len(panels), len(every), view.panel_kind)}"
    if all(part[column].nunique() < 2 for _, part in panels):
        return _bars(view, rows, foot)
    foot += waste_told(view)
    keeps = view.table.groupby("strategy", sort=False)["kv_reserved_bytes"].max() > 0
    if not keeps.all():
        foot += f" {', '.join(map(str, keeps.index[~keeps]))}: no K/V."
    height = 3.5
    at_ends = named(view, panel_height_in(height)) and ends_of(view, "peak_memory_bytes", column)
    is_wasted = bool((wastes(view.table) > NONE).any())
    texts = {} if is_wasted else {"kv_reserved_bytes": "K/V reserved, all of it used"}
    shown = [(name, text) for name, text in sizes_of(view) if name in LINES]
    sizes: list[tuple[str, dict[str, Any]]] = [
        (texts.get(name, text), {"color": "#333333", "marker": "", **LINES[name]}) for name, text in reversed(shown)
    ]
    if is_wasted:
        sizes.append(("reserved and not used", {"facecolor": "#333333", **SHADE}))
    names = view.absent if at_ends else view.legend()
    legend = Legend([*(names.entries if names else []), *sizes], artist=_sample)
    drawn, [row] = new_figure(message(view), foot, legend, 1, len(panels), height)
    share_y(row)
    with mpl.rc_context(RC):
        found: dict[str, tuple[float, float, str]] = {}
        for place, (title, part) in zip(row, panels, strict=True):
            found = _curves(place, view, part, column, [name for name, _ in shown])
            swept_axis(place, column, [*part[column], *mark_failed(place, view, part)])
            place.set_title(title)
        row[len(row) // 2].set_xlabel(label)
        row[0].set_ylabel("memory (MiB)")
        plain_log(row)
        if at_ends:
            name_ends(row[-1], found, panel_height_in(height))
    return drawn


def foot_of(view: View) -> str:
    """Say what is drawn, how the peak was measured, and of which strategies it was not."""
    kind = "allocator's peak" if view.table["device"].iloc[0] == "cuda" else "peak of live tensor bytes"
    missing = unmeasured(view, view.having("peak_memory_bytes").strategies)
    return f"{view.foot} Above the loaded weights; {kind}.{missing}"


def unmeasured(view: View, known: Container[str]) -> str:
    """Name the strategies of a view whose peak was not measured, all but the ``known``; "" if there are none."""
    missing = [view.name(strategy) for strategy in view.strategies if strategy not in known]
    return f" Peak not measured: {', '.join(missing)}." if missing else ""


def message(view: View) -> str:
    """Say which exact strategies need the most and the least memory: at the peak, or as K/V if no peak is known."""
    view = view.ranked
    column, _ = view.axis
    title, rows = view.panels[-1]
    last = rows[rows[column] == rows[column].max()]
    where = view.at(last[column].iloc[0], title)
    name, text = ("peak_memory_bytes", "Peak memory")
    if last[name].isna().all():
        name, text = ("kv_reserved_bytes", "K/V reserved")
    ordered = last.dropna(subset=name).sort_values(name)
    if ordered.empty:
        return f"No memory figures were kept at {where}"
    high, low = ordered.iloc[-1], ordered.iloc[0]
    if len(ordered) == 1 or not low[name]:
        return f"{text} at {where}: {view.spoken(high['strategy'])} {high[name] / 2**20:.3g} MiB"
    if high[name] < 1.02 * low[name]:
        return f"{text} at {where} is about the same for all: {high[name] / 2**20:.3g} MiB"
    most, least = view.spoken(high["strategy"]), view.spoken(low["strategy"])
    return f"{text} at {where}: {most} needs {factor(high[name] / low[name])} that of {least}"


def _curves(
    axes: Axes, view: View, part: pd.DataFrame, column: str, names: Sequence[str]
) -> dict[str, tuple[float, float, str]]:
    """Draw the sizes of each strategy; return the last point of its peak, and its colour, by its name."""
    found = {}
    draw_reserved(axes, view.looks, part, column, LINES["kv_reserved_bytes"])
    for strategy, mine in part.sort_values(column).groupby("strategy", sort=False):
        look = view.looks[str(strategy)]
        for name, style in LINES.items():
            if name not in names or name == "kv_reserved_bytes":
                continue
            known = mine[mine[name] > 0]  # zero has no place on a logarithmic axis
            if known.empty:
                continue
            axes.plot(known[column], known[name] / 2**20, **look.line() | style)
            if name == "peak_memory_bytes":
                last = known.iloc[-1]
                found[view.name(strategy)] = (float(last[column]), last[name] / 2**20, look.color)
    return found


def _bars(view: View, rows: pd.DataFrame, foot: str) -> Figure:
    """Draw a single cell: one bar per strategy, its peak, with the K/V reserved and used inside it."""
    ordered = rows.sort_values("peak_memory_bytes", ascending=False, na_position="first")
    shown = sizes_of(view)
    entries: list[tuple[str, dict[str, Any]]] = [(text, _face("#777777", name)) for name, text in reversed(shown)]
    entries += view.absent.entries if view.absent else []
    legend = Legend(entries, artist=_sample, names_in=1.6)
    drawn, [[axes]] = new_figure(message(view), foot, legend, height=1.5 + 0.4 * len(rows))
    with mpl.rc_context(RC):
        top = max(1e-6, float(ordered[[name for name, _ in PANELS]].max().max()) / 2**20)
        for place, row in enumerate(ordered.to_dict("records")):
            look = view.looks[row["strategy"]]
            for name, _ in reversed(shown):
                if row[name] > 0:
                    axes.barh(place, row[name] / 2**20, height=HEIGHTS[name], **_face(look.color, name))
            longest = max([0.0, *(row[name] for name, _ in PANELS if row[name] > 0)]) / 2**20
            axes.annotate(
                _told(row, CROSS in shown),
                (longest, place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
            )
        axes.set_yticks(range(len(ordered)), [broken_up(view.name(s)) for s in ordered["strategy"]], fontsize=8.5)
        axes.set_xlim(0, top * (1.75 if CROSS in shown else 1.5))  # the text of a bar stands behind it
        axes.set_xlabel("memory (MiB)")
        axes.grid(axis="y", visible=False)
    return drawn


HEIGHTS = {"kv_cross_bytes": 0.3, "kv_used_bytes": 0.3, "kv_reserved_bytes": 0.54, "peak_memory_bytes": 0.78}
FACES = {
    "kv_cross_bytes": (1.0, "xxxx"),
    "kv_used_bytes": (1.0, ""),
    "kv_reserved_bytes": (0.55, "//"),
    "peak_memory_bytes": (0.25, ""),
}


def _face(color: str, name: str) -> dict[str, Any]:
    """Look of a bar: the smaller the part, the fuller its colour."""
    alpha, hatch = FACES[name]
    return {"facecolor": color, "alpha": alpha, "hatch": hatch, "edgecolor": "white", "linewidth": 0.4}


def _sample(**look: Any) -> Patch | Line2D:
    return Patch(**look) if "facecolor" in look else Line2D([], [], **look)


def _told(row: dict[Any, Any], cross: bool = False) -> str:
    """Say the sizes of a row in MiB, with ``cross`` also that of cross-attention's K/V."""
    used, reserved, peak = (float(row[name]) / 2**20 for name, _ in PANELS)
    told = "peak not measured" if peak != peak else f"{peak:.3g}"
    if not reserved:
        return f"{told}, no K/V"
    waste = reserved / used if used else 1.0
    more = f", {waste:.2g}x the {used:.3g} in use" if waste > NONE else ""
    more += f", cross {row[CROSS[0]] / 2**20:.3g}" if cross else ""
    return f"{told}, K/V {reserved:.3g}{more}"
