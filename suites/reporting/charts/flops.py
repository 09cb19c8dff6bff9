"""The chart of FLOPs along the axis, with the necessary ones; if nothing was swept, of each step against k."""

from __future__ import annotations

import pandas as pd

from ...plots.flops import message
from ...plots.looks import Look
from ...plots.view import View
from ...words.quantity import quantity
from .along import alternative
from .axis import Axis, ticks_of
from .chart import Chart, curves, panels_of, thinned

NECESSARY = "necessary"


def charts(view: View) -> list[Chart]:
    """Make the one chart; none if FLOPs or steps are not known."""
    view = view.having("executed_flops")
    if view.table.empty or view.steps.empty:
        return []
    column, label = view.axis
    looks = {view.name(s): view.looks[s] for s in view.strategies}
    if view.table[column].nunique() < 2:
        data = pd.concat(
            pd.DataFrame({"panel": "", "label": view.name(s), "x": few["k"], "y": few["flops"] / 1e6})
            for s, mine in view.steps.groupby("strategy", sort=False)
            for few in [thinned(mine)]
        )
        x, y = Axis("keys attended at the step, k"), Axis("FLOPs of the step (MFLOPs)")
        ends = view.steps.groupby("strategy", sort=False)["flops"].agg(["first", "last"])
        each = (f"{view.name(s)} {quantity(a, 'FLOPs')} to {quantity(b, 'FLOPs')}" for s, a, b in ends.itertuples())
        told = f"{message(view)}. From the first step to the last: {'; '.join(each)}."
        return [_chart(view, data, looks, x, y, told, points=False)]
    frames = []
    shown, fewer = panels_of(view)
    for panel, rows in shown:
        rows = rows.sort_values(column)
        floor = rows.drop_duplicates(column)
        for of, names, name in (
            (rows, [view.name(s) for s in rows["strategy"]], "executed_flops"),
            (floor, NECESSARY, "necessary_flops"),
        ):
            frames.append(pd.DataFrame({"panel": panel, "label": names, "x": of[column], "y": of[name] / 1e9}))
    data = pd.concat(frames)
    looks[NECESSARY] = Look("#000000", "", ":")
    x, y = Axis(label, ticks_of(data["x"], column)), Axis("FLOPs of the whole batch (GFLOPs)", log=True)
    return [_chart(view, data, looks, x, y, alternative(message(view), view, "executed_flops", "FLOPs"), fewer)]


def _chart(
    view: View,
    data: pd.DataFrame,
    looks: dict[str, Look],
    x: Axis,
    y: Axis,
    told: str,
    note: str = "",
    points: bool = True,
) -> Chart:
    name = f"flops{view.suffix}"
    spec = curves(name, data, looks, x, y, told, points)
    numbers = "table.csv" if x.ticks else "steps.csv"
    foot = f"{view.foot} FLOPs of matrix products, by formula.{note}"
    return Chart(name, message(view), told, foot, numbers, looks, spec, (x.title, y.title))
