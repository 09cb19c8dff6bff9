"""The chart of quality against cost: what each approximate strategy loses, and what it takes."""

from __future__ import annotations

import math

import pandas as pd

from ...plots.costs import Costs, costs, message, steps_note
from ...plots.curve import is_disturbed
from ...plots.lost_quality import MEANING, exact_percent
from ...plots.view import View
from ...words.comparison import precise, spoken
from ...words.quantity import quantity
from .chart import Chart, finished
from .points import points

FARTHEST = 2.0
"""How many times the largest time of the approximate strategies an exact one may take and still be drawn."""


def charts(view: View) -> list[Chart]:
    """Make the one chart; the reader chooses the cost, time or K/V bytes. None where nothing approximate was judged."""
    found = costs(view)
    if found is None:
        return []
    rows = found.rows
    shown = pd.DataFrame(
        {
            "label": [view.name(s) for s in rows["strategy"]],
            "caption": [spoken(s) for s in rows["strategy"]],
            "y": rows["percent"],
            "hollow": is_disturbed(rows),
            "text": [_words(found, row) for _, row in rows.iterrows()],
        }
    )
    time, held = f"time ({view.spoken(found.base)} = 1)", "K/V reserved per sentence (MiB)"
    near = rows["ratio"].where(rows["ratio"] <= FARTHEST * max(1.0, found.approximate["ratio"].max()))
    planes = [
        shown.assign(panel=time, x=near, low=rows["low"], high=rows["high"]),
        shown.assign(panel=held, x=rows["bytes"] / 2**20, low=math.nan, high=math.nan),
    ]
    data = pd.concat(plane.assign(above=plane["x"].rank(method="first") % 2 == 1) for plane in planes)
    data = data.dropna(subset="x")
    looks = {view.name(s): view.looks[s] for s in rows["strategy"]}
    said, name = message(view, found), f"quality{view.suffix}"
    each = "; ".join(f"{label}: {text}" for label, text in zip(shown["label"], shown["text"], strict=True))
    title, exact = f"{found.measure.label} (%)", exact_percent(rows)
    spec = finished(points(data, looks, "", title, exact), name, data, looks, f"{said}. {each}.", panel=time)
    dashed = " Dashed: exact strategies." if exact == exact else ""
    beyond = rows[near.isna() & rows["ratio"].notna()]
    far = [f"{view.spoken(row['strategy'])} at {row['ratio']:.2g}" for row in beyond.to_dict("records")]
    dashed += f" Beyond the axis of time: {', '.join(far)}." if far else ""
    foot = (
        f"{view.foot} {view.rounds} {view.sizes(rows.iloc[0])} {MEANING[found.measure.column]} Time: of the batch, end "
        f"to end; whiskers: 95 % confidence interval.{dashed}{steps_note(found)}"
        f"{view.within(rows['cell']).disturbed_note}"
    )
    return [Chart(name, said, f"{said}. {each}.", foot, "table.csv", looks, spec)]


def _words(found: Costs, row: pd.Series) -> str:
    """What a strategy loses and takes."""
    time = f"{precise(row['ratio'])} times that of {found.base}" if row["ratio"] == row["ratio"] else "not compared"
    return f"{row['percent']:.3g} % {found.measure.label}, time {time}, {quantity(row['bytes'], 'B')} of K/V a sentence"
