"""The chart of one column of the table against what was swept, with one curve per strategy."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ...plots.curve import is_disturbed
from ...plots.swept import LINEAR
from ...plots.totals import WHISKERS
from ...plots.view import View
from ...words.comparison import factor
from ...words.quantity import quantity
from .axis import Axis, ticks_of
from .chart import Chart, curves, panels_of


def along(view: View, name: str, column: str, scale: float, title: str, message: str, bands: str = "") -> Chart:
    """Make a chart of ``column`` times ``scale``, which comes of times, with the panels of the view.

    ``bands`` says what its bands are, of which the table then has the ends, in columns that end in _low and _high.
    Points of cells that were disturbed are hollow.
    """
    axis, label = view.axis
    frames = []
    shown, fewer = panels_of(view)
    for panel, rows in shown:
        rows = rows.sort_values(axis)
        known = {"x": rows[axis].astype(float), "y": rows[column] * scale, "hollow": is_disturbed(rows)}
        if bands:
            known |= {end: (rows[f"{column}_{end}"] * scale).fillna(rows[column] * scale) for end in ("low", "high")}
        frames.append(pd.DataFrame({"panel": panel, "label": [view.name(s) for s in rows["strategy"]], **known}))
    data = pd.concat(frames)
    looks = {view.name(s): view.looks[s] for s in view.strategies}
    told = alternative(message, view, column, title.rpartition("(")[2].rstrip(")") if "(" in title else "")
    y = Axis(title, log=True, **_limits(data))
    spec = curves(f"{name}{view.suffix}", data, looks, Axis(label, ticks_of(data["x"], axis)), y, told)
    told_bands = f" Bands: {bands}." if bands else ""
    notes = f"{told_bands}{fewer}{view.disturbed_note}"
    return Chart(
        f"{name}{view.suffix}",
        message,
        told,
        f"{view.foot} {view.rounds}{notes}",
        "table.csv",
        looks,
        spec,
        (label, title),
    )


def _limits(data: pd.DataFrame) -> dict[str, Any]:
    """Where an axis ends at which bands of what is hardly known run out of it, rather than press all curves together.

    Empty if there are no bands, or all of them end before that.
    """
    points = data["y"][data["y"] > 0]
    if "low" not in data or points.empty:
        return {}
    bottom, top = points.min() / WHISKERS, points.max() * WHISKERS
    found = {"top": top} if data["high"].max() > top else {}
    return found | ({"bottom": bottom} if data["low"].min() < bottom else {})


def alternative(message: str, view: View, column: str, unit: str) -> str:
    """Write the text alternative: the message, then each strategy's first and last figure along the axis.

    Where the axis has no direction (``LINEAR``), they are the least and the greatest.
    """
    axis, _ = view.axis
    _, rows = view.panels[-1]
    told = []
    ordered = rows.dropna(subset=column).sort_values(column if axis in LINEAR else axis)
    for strategy, mine in ordered.groupby("strategy", sort=False):
        first, last = (_words(float(mine[column].iloc[i]), unit) for i in (0, -1))
        ends = f"{first} to {last}" if len(mine) > 1 else first
        told.append(f"{view.name(strategy)} {ends}")
    return f"{message}. {'; '.join(told)}." if told else f"{message}."


def _words(value: float, unit: str) -> str:
    if unit in ("ms", "s"):
        return quantity(value, "s")
    if unit in ("MiB", "B"):
        return quantity(value, "B")
    if unit == "FLOPs":
        return quantity(value, "FLOPs")
    return factor(value) if unit == "x" else f"{value:.3g} {unit}".strip()
