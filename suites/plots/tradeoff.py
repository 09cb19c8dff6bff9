"""The figure of the trade-off in the last cell: time per token against peak memory, with the best corner marked."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..tables.exactness import rankable
from ..words.quantity import quantity
from .curve import is_disturbed
from .ends import broken_up, darker, spread
from .memory import unmeasured
from .style import RC, new_figure
from .view import View

WIDE = 0.25
"""Greatest width of a name, as a share of the axes."""
CHARACTER = 0.0105
"""Width of one of its characters."""
NOTE = 0.4, 0.25
"""Up to where, as shares of the axes, a name on the left of its point may lie upon the note in the corner."""
BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.6}


def figure(view: View) -> Figure | None:
    """Draw a point for each strategy. None where fewer than two have a time and a peak."""
    rows = _points(view)
    if len(rows) < 2:
        return None
    height = 3.4
    nothing = "no exact strategy" if len(rankable(rows)) < len(rows) else "nothing"
    foot = (
        f"{view.foot} {view.rounds} {view.sizes(rows.iloc[0])} Peak memory of a round above the loaded weights. "
        f"Line: {nothing} is both faster and smaller.{unmeasured(view, set(rows['strategy']))}"
        f"{view.within(rows['cell']).disturbed_note}"
    )
    drawn, [[axes]] = new_figure(message(view, rows), foot, view.absent, height=height)
    with mpl.rc_context(RC):
        best = front(rankable(rows))
        axes.step(
            best["mib"], best["ms"], where="post", color="#888888", linewidth=0.9, linestyle=(0, (3, 2)), zorder=1
        )
        for row, hollow in zip(rows.to_dict("records"), is_disturbed(rows), strict=True):
            look = view.looks[row["strategy"]]
            face = "white" if hollow else look.color
            axes.plot([row["mib"]], [row["ms"]], marker=look.marker, color=look.color, markerfacecolor=face,
                      linestyle="none", markersize=8, markeredgewidth=1.4, zorder=3)  # fmt: skip
        axes.set_xlim(0, rows["mib"].max() * 1.45)
        axes.set_ylim(0, rows["ms"].max() * 1.15)
        _names(axes, view, rows, height)
        axes.annotate("better: less time,\nless memory", (0.012, 0.02), (0.09, 0.14), xycoords="axes fraction",
                      textcoords="axes fraction", fontsize=8, color="#555555", va="center",
                      arrowprops={"arrowstyle": "->", "color": "#555555"})  # fmt: skip
        axes.set_xlabel("peak memory (MiB)")
        axes.set_ylabel("time per token (ms)")
    return drawn


def _points(view: View) -> pd.DataFrame:
    """Rows of the last cell that have a time and a peak, with the columns ``ms`` (per token) and ``mib``."""
    rows = view.last_rows
    rows = rows.assign(ms=rows["tpot_s"] * 1e3)
    rows = rows.dropna(subset=["ms", "peak_memory_bytes"])
    return rows.assign(mib=rows["peak_memory_bytes"] / 2**20)


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows for which no other is at least as fast and as small, and better in one of the two; by memory."""
    ordered = rows.sort_values(["mib", "ms"])
    least = ordered["ms"].cummin().shift(fill_value=float("inf"))
    return ordered[ordered["ms"] < least]


def message(view: View, rows: pd.DataFrame) -> str:
    """Name the smallest and the quickest of the exact strategies whose peak is known, and their time and memory."""
    rows, every = rankable(rows), rows
    small, quick = rows.sort_values(["mib", "ms"]).iloc[0], rows.sort_values(["ms", "mib"]).iloc[0]
    told = f"{quantity(quick['ms'] / 1e3, 's')} a token, {quick['mib']:.3g} MiB"
    if small["strategy"] == quick["strategy"]:
        name = view.spoken(quick["strategy"])
        if len(rows) < len(every):
            return f"{name} takes {told}{', the least of the exact strategies' * (len(rows) > 1)}"
        return f"{name} takes the least time and the least memory: {told}"
    least = f"{quantity(small['ms'] / 1e3, 's')} a token, {small['mib']:.3g} MiB"
    first, second = view.spoken(quick["strategy"]), view.spoken(small["strategy"])
    known = set(rows["strategy"]) < set(view.ranked.strategies)
    among = ["exact strategies" if len(rows) < len(every) else "those", "with a known peak"][: 1 + known]
    of_these = f"Of {' '.join(among)}, least" if known or len(rows) < len(every) else "Least"
    return f"{of_these} time: {first} ({told}); least memory: {second} ({least})"


def _names(axes: Axes, view: View, rows: pd.DataFrame, height: float) -> None:
    """Write each name beside its point, moved up or down where names would overlap."""
    (_, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    line = 0.135 / (height - 1.1)
    apart = (rows["mib"].sort_values() / right).diff() > WIDE
    for _, near in rows.groupby(apart.cumsum().reindex(rows.index)):
        _write(axes, view, rows, near.sort_values("ms"), (right, top, line))


def _write(
    axes: Axes, view: View, rows: pd.DataFrame, ordered: pd.DataFrame, scale: tuple[float, float, float]
) -> None:
    """Write the names of points that are near one another along the axis of memory."""
    right, top, line = scale
    texts = [broken_up(view.name(s)) for s in ordered["strategy"]]
    wanted = [float(ms) / top for ms in ordered["ms"]]
    places = spread(wanted, [line * (text.count("\n") + 1) for text in texts])
    for row, text, place in zip(ordered.to_dict("records"), texts, places, strict=True):
        look, x, y = view.looks[row["strategy"]], row["mib"] / right, row["ms"] / top
        own = 0.04 + CHARACTER * max(map(len, text.split("\n")))
        wide = min(WIDE, own) if x < NOTE[0] and y < NOTE[1] else WIDE  # on its left a name would lie upon the note
        away = rows["mib"] / right - x
        level = (rows["ms"] / top - y).abs() < 1.5 * line
        side = -1 if (level & away.between(0.005, wide)).any() and x > WIDE else 1  # on the right there is no room
        at, align = (x + 0.018 * side, place), "left" if side > 0 else "right"
        if side < 0 and (level & away.between(-own, -0.005)).any():  # nor on the left
            at, align = (x, y + line * (0.9 + (text.count("\n") + 1) / 2)), "center"
        axes.annotate(text, (row["mib"], row["ms"]), at, xycoords="data", textcoords="axes fraction", fontsize=7.5,
                      va="center", ha=align, color=darker(look.color), bbox=BOX)  # fmt: skip
