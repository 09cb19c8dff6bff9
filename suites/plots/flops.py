"""The figure of FLOPs against length or batch: how the work grows, and what any exact decoder must do."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from .style import RC, Legend, new_figure, plain_log, powers_of_two, times
from .view import View, exponent

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
    notes = {str(s): _growth(mine[column], mine["executed_flops"]) for s, mine in rows.groupby("strategy")}
    floor = rows.drop_duplicates(column).sort_values(column)
    necessary = "necessary" + _growth(floor[column], floor["necessary_flops"])
    names = view.legend(notes, f"growth with the {'batch' if column == 'batch_size' else 'length'}")
    drawn, [[axes]] = new_figure(message(view), foot, Legend([*names.entries, (necessary, NECESSARY)], names.title))
    with mpl.rc_context(RC):
        for strategy, mine in rows.sort_values(column).groupby("strategy", sort=False):
            axes.plot(mine[column], mine["executed_flops"] / 1e9, **view.looks[str(strategy)].line())
        axes.plot(floor[column], floor["necessary_flops"] / 1e9, **NECESSARY)
        powers_of_two(axes, rows[column])
        plain_log([axes])
        axes.set_xlabel(label)
        axes.set_ylabel("FLOPs of the whole batch (10^9)")
    return drawn


def message(view: View) -> str:
    """Say how many times the necessary FLOPs the strategies compute at the last point of the axis.

    Where nothing was swept, compare the FLOPs of their last steps.
    """
    column, _ = view.axis
    title, rows = view.panels[-1]
    if rows[column].nunique() < 2:
        return _message_by_step(view.steps)
    last = rows[rows[column] == rows[column].max()].sort_values("flops_waste")
    least, most = last.iloc[0], last.iloc[-1]
    told = (
        f"At {view.at(most[column], title)}, {most['strategy']} computes {times(most['flops_waste'])} what is necessary"
    )
    return told if len(last) < 2 else f"{told}, {least['strategy']} {times(least['flops_waste'])}"


def _message_by_step(steps: pd.DataFrame) -> str:
    last = steps[steps["k"] == steps["k"].max()].sort_values("flops")
    high, low = last.iloc[-1], last.iloc[0]
    if len(last) < 2:
        return f"FLOPs of each step of {high['strategy']}"
    more = f"{high['flops'] / low['flops']:.3g}x"
    return f"At step {high['k']}, {high['strategy']} computes {more} the FLOPs of {low['strategy']}"


def _growth(x: pd.Series, y: pd.Series) -> str:
    power = exponent(x, y)
    return "" if math.isnan(power) else f": x^{power:.2f}"


def _by_step(view: View, foot: str) -> Figure | None:
    steps = view.steps
    if steps.empty:
        return None
    drawn, [[axes]] = new_figure(_message_by_step(steps), foot, view.legend())
    with mpl.rc_context(RC):
        for strategy, mine in steps.groupby("strategy", sort=False):
            every = max(1, len(mine) // 8)
            axes.plot(mine["k"], mine["flops"] / 1e6, markevery=every, **view.looks[str(strategy)].line())
        plain_log([axes])
        axes.set_xlim(0, None)
        axes.set_xlabel("keys attended at the step, k")
        axes.set_ylabel("FLOPs of the step (10^6)")
    return drawn
