"""The figure of approximate strategies: what each loses, against the time and the K/V bytes that it takes."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..tables.exactness import is_exact
from ..words.comparison import spoken
from .beside_points import Named, name_points
from .costs import Costs, costs, message, steps_note
from .curve import is_disturbed
from .ends import broken_up
from .lost_quality import MEANING, exact_percent, many_times_axis
from .style import RC, new_figure, share_y
from .view import View

WIDE = 3.0
"""Ratio of the largest time to the smallest from which on the axis of time is logarithmic."""
WHISKERS = 2.0
"""How many times the largest time a whisker may reach before it runs out of the axes."""
ROOM = 1.35
"""Where the axes of costs end, over the largest cost: names stand on the right of marks."""
GREY = "#555555"


def figure(view: View) -> Figure | None:
    """Draw what is lost against time, and beside it against K/V bytes. None where nothing approximate was judged."""
    found = costs(view)
    if found is None:
        return None
    rows, case, exact = found.rows, found.rows.iloc[0], exact_percent(found.rows)
    foot = (
        f"{view.foot} {view.rounds} {view.sizes(case)} {MEANING[found.measure.column]} Time: of the batch, end to end, "
        "paired within rounds; whiskers: 95 % confidence interval. K/V of self- and cross-attention."
        f"{' Dashed: exact strategies.' if exact == exact else ''}{steps_note(found)}"
        f"{view.within(rows['cell']).disturbed_note}"
    )
    title = message(view, found).replace(" %", "\N{NO-BREAK SPACE}%")
    drawn, [panels] = new_figure(title, foot, view.absent, 1, 2, height=4.0)
    share_y(panels)
    scale, unit = (2**20, "MiB") if rows["bytes"].max() >= 2**20 else (2**10, "KiB")
    with mpl.rc_context(RC):
        for axes, x, label in (
            (panels[0], rows["ratio"], f"time ({view.spoken(found.base)} = 1)"),
            (panels[1], rows["bytes"] / scale, f"K/V reserved per sentence ({unit})"),
        ):
            _marks(axes, view, rows, x)
            axes.set_xlabel(label)
            if exact == exact:
                axes.axhline(exact, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        _whiskers(panels[0], view, rows)
        _time_axis(panels[0], rows)
        panels[1].set_xlim(0, rows["bytes"].max() / scale * ROOM)
        if not many_times_axis(panels[0], rows["percent"]):
            top = rows["percent"].max() or 1.0
            panels[0].set_ylim(-0.04 * top, 1.2 * top)  # whole marks, also of what loses nothing
        panels[0].set_ylabel(f"{found.measure.label} (%)")
        if exact == exact:
            panels[1].annotate(f"exact:\n{exact:.3g} %", (1.02, exact), xycoords=("axes fraction", "data"), va="center",
                               fontsize=8, color=GREY, annotation_clip=False)  # fmt: skip
        drawn.draw_without_rendering()
        for axes, x in ((panels[0], rows["ratio"]), (panels[1], rows["bytes"] / scale)):
            _names(drawn, axes, view, found, x)
    return drawn


def _marks(axes: Axes, view: View, rows: pd.DataFrame, x: pd.Series) -> None:
    for row, at, hollow in zip(rows.to_dict("records"), x, is_disturbed(rows), strict=True):
        look = view.looks[row["strategy"]]
        size = 9 if row["strategy"] in view.approximate else 6
        axes.plot([at], [row["percent"]], marker=look.marker, color=look.color, linestyle="none", markersize=size,
                  markerfacecolor="white" if hollow else look.color, markeredgewidth=1.4, zorder=3)  # fmt: skip


def _whiskers(axes: Axes, view: View, rows: pd.DataFrame) -> None:
    """Draw the intervals of the ratios of time."""
    for row in rows.to_dict("records"):
        if row["low"] < row["high"]:
            color = view.looks[row["strategy"]].color
            axes.plot([row["low"], row["high"]], [row["percent"]] * 2, color=color, linewidth=1.0, marker="", zorder=2)


def _time_axis(axes: Axes, rows: pd.DataFrame) -> None:
    """Let the axis of time be logarithmic where times differ much, and begin at zero where they do not."""
    ratios = rows["ratio"].dropna()
    low, high = ratios.min(), ratios.max()
    axes.axvline(1.0, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    if not high >= WIDE * low:
        axes.set_xlim(0, max(1.0, high * ROOM, min(1.05 * rows["high"].max(), WHISKERS * high)))
        return
    axes.set_xscale("log")
    axes.set_xlim(min(low, 1.0) / 1.4, max(high, 1.0) * 1.4 * ROOM)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _names(drawn: Figure, axes: Axes, view: View, found: Costs, x: pd.Series) -> None:
    """Write the name of each strategy beside its mark, approximate ones first and in bold."""
    exact = exact_percent(found.rows)
    rows = found.rows.assign(x=x, last=is_exact(found.rows)).dropna(subset="x").sort_values("last", kind="stable")
    points = [
        Named(
            row["x"],
            row["percent"],
            broken_up(spoken(row["strategy"])),
            view.looks[row["strategy"]].color,
            bold=row["strategy"] in view.approximate,
        )
        for row in rows.to_dict("records")
    ]
    box = axes.get_window_extent().transformed(drawn.dpi_scale_trans.inverted())
    name_points(axes, points, (box.width, box.height), [exact] if exact == exact else [])
