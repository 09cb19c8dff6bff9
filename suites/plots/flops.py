"""The figure of FLOPs against length or batch: how the work grows, and what any exact decoder must do."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ..words.comparison import factor, spoken
from .ends import ends_of, name_ends, named, panel_height_in
from .style import RC, Legend, new_figure, plain_log, swept_axis, whole_numbers
from .view import View

NECESSARY: dict[str, Any] = {"color": "black", "linestyle": ":"}


def figure(view: View) -> Figure | None:
    """Draw the executed FLOPs of each strategy, and the necessary FLOPs, along the axis of the view.

    Where nothing was swept, draw the FLOPs of each step against k. None if no FLOPs are known.
    """
    view = view.having("executed_flops")
    if view.table.empty:
        return None
    column, label = view.axis
    title, rows = view.panels[-1]
    foot = f"{view.foot}{f' {title[0].upper()}{title[1:]}.' if title else ''} FLOPs of matrix products, by formula."
    if rows[column].nunique() < 2:
        return _by_step(view, foot)
    floor = rows.drop_duplicates(column).sort_values(column)
    height = 3.5
    at_ends = named(view, panel_height_in(height)) and ends_of(view, "executed_flops", column)
    necessary = Legend([("necessary: what any exact decoder must compute", NECESSARY)])
    legend = Legend([*(view.absent.entries if view.absent else []), *necessary.entries])
    if not at_ends:
        legend = Legend([*view.legend().entries, *necessary.entries])
    drawn, [[axes]] = new_figure(message(view), foot + _growth(rows, column), legend, height=height)
    with mpl.rc_context(RC):
        found = {}
        for strategy, mine in rows.sort_values(column).groupby("strategy", sort=False):
            look, flops = view.looks[str(strategy)], mine["executed_flops"] / 1e9
            axes.plot(mine[column], flops, **look.line())
            found[view.name(strategy)] = (float(mine[column].iloc[-1]), float(flops.iloc[-1]), look.color)
        axes.plot(floor[column], floor["necessary_flops"] / 1e9, **NECESSARY)
        swept_axis(axes, column, rows[column])
        plain_log([axes])
        axes.set_xlabel(label)
        axes.set_ylabel("FLOPs of the whole batch (GFLOPs)")
        if at_ends:
            name_ends(axes, found, panel_height_in(height))
    return drawn


def message(view: View) -> str:
    """Say how many times the necessary FLOPs the exact strategies compute at the last point of the axis.

    Where nothing was swept, compare the FLOPs of their last steps.
    """
    view = view.ranked
    column, _ = view.axis
    title, rows = view.panels[-1]
    if rows[column].nunique() < 2:
        return _message_by_step(view)
    last = rows[rows[column] == rows[column].max()].sort_values("flops_waste")
    least, most = last.iloc[0], last.iloc[-1]
    where = view.at(most[column], title)
    told = f"At {where}, {view.spoken(most['strategy'])} computes {factor(most['flops_waste'])} what is necessary"
    return told if len(last) < 2 else f"{told}, {view.spoken(least['strategy'])} {factor(least['flops_waste'])}"


def _message_by_step(view: View) -> str:
    steps = view.steps
    last = steps[steps["k"] == steps["k"].max()].sort_values("flops")
    high, low = last.iloc[-1], last.iloc[0]
    if len(last) < 2:
        return f"FLOPs of each step of {view.spoken(high['strategy'])}"
    more, most, least = f"{high['flops'] / low['flops']:.3g}x", *(view.spoken(row["strategy"]) for row in (high, low))
    return f"At k = {high['k']}, {most} computes {more} the FLOPs of {least}"


def _growth(rows: pd.DataFrame, column: str) -> str:
    """Say how many times the FLOPs of the first point each strategy computes at the last point."""
    first, last = rows[column].min(), rows[column].max()
    table = rows.pivot_table(index="strategy", columns=column, values="executed_flops", sort=False)
    grown = zip(table.index, table[first], table[last], strict=True)
    told = [f"{spoken(str(name))} {factor(high / low)}" for name, low, high in grown if low > 0 and high > 0]
    what = {"batch_size": "batch", "num_beams": "beams"}.get(column, "length")
    return f" With {factor(last / first)} the {what} FLOPs grow: {', '.join(told)}." if told else ""


def _by_step(view: View, foot: str) -> Figure | None:
    steps = view.steps
    if steps.empty:
        return None
    height = 3.5
    at_ends = named(view, panel_height_in(height))
    legend = view.absent if at_ends else view.legend()
    drawn, [[axes]] = new_figure(message(view), foot, legend, height=height)
    with mpl.rc_context(RC):
        found = {}
        for strategy, mine in steps.groupby("strategy", sort=False):
            every, look, flops = max(1, len(mine) // 8), view.looks[str(strategy)], mine["flops"] / 1e6
            axes.plot(mine["k"], flops, markevery=every, **look.line())
            found[view.name(strategy)] = (float(mine["k"].iloc[-1]), float(flops.iloc[-1]), look.color)
        axes.set_xlim(0, float(steps["k"].max()))
        axes.xaxis.set_major_locator(whole_numbers())
        axes.set_ylim(0, None)
        axes.set_xlabel("keys attended at the step, k")
        axes.set_ylabel("FLOPs of the step (MFLOPs)")
        if at_ends:
            name_ends(axes, found, panel_height_in(height))
    return drawn
