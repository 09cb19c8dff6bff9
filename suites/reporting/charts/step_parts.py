"""The chart of what one decode step waits for, of each strategy of a single case, with the floor as a mark."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from ...ceilings.step_parts import step_s
from ...plots.looks import STEP_PARTS
from ...plots.single import FLOOR, NAMES, UNKNOWN, split
from ...plots.view import View
from ...tables.columns import SPEED
from ...tables.exactness import rankable
from ...telling.advice import step
from ...telling.advice.rows import is_strategy
from ...words.quantity import percent, quantity
from .axis import names_axis
from .chart import EDGE, Chart, base_of, finished

MARK = "#cc0033"
"""Colour of the floor's mark. With its light edge it is set off from bars and paper, light or dark."""


def charts(view: View) -> list[Chart]:
    """Make the one chart; none if something was swept, or no floor is known."""
    rows = view.table.sort_values("e2e_s")
    if view.is_swept:
        return []
    order = [*NAMES, UNKNOWN]
    data = pd.DataFrame(
        {
            "panel": "",
            "label": view.name(row["strategy"]),
            "part": NAMES.get(name, name),
            "order": order.index(name),
            "x": 1e3 * seconds,
            "floor": math.nan if place else 1e3 * row["floor_s"],
            "text": f"{quantity(seconds, 's')}, {percent(seconds / step_s(row))}",
        }
        for row in rows.to_dict("records")
        for place, (name, seconds) in enumerate(split(row).items())
    )
    if data.empty:
        return []
    looks = {view.name(s): view.looks[s] for s in rows["strategy"] if view.name(s) in set(data["label"])}
    colors = {NAMES.get(name, name): STEP_PARTS.get(name, "#ffffff") for name in order}
    colors = {part: color for part, color in colors.items() if part in set(data["part"])}
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    hover = [alt.Tooltip("label:N", title="strategy"), alt.Tooltip("part:N"), alt.Tooltip("text:N", title="time")]
    base = base_of(data, looks)
    y = alt.Y("label:N", sort=list(looks), axis=names_axis())
    axis = alt.Axis(title="one decode step (ms)", tickCount=6)
    bars = base.mark_bar(aria=False, stroke="#666666", strokeWidth=0.5).encode(
        y=y,
        x=alt.X("x:Q", axis=axis, scale=alt.Scale(zero=True)),
        color=alt.Color("part:N", scale=scale, legend=None),
        order="order:Q",
        tooltip=hover,
    )
    floor = base.transform_filter("datum.floor > 0").mark_tick(
        thickness=4, aria=False, color=MARK, stroke=EDGE, strokeWidth=1
    )
    drawn = alt.layer(bars, floor.encode(y=y, x=alt.X("floor:Q", axis=axis)))
    known = rankable(rows[[bool(split(row)) for row in rows.to_dict("records")]])
    best = min(known.sort_values(SPEED, kind="stable").to_dict("records"), key=lambda row: not is_strategy(row))
    message = f"{view.spoken(best['strategy'])}: {step.largest(best)}"
    told = "; ".join(f"{row.label}: {row.part} {row.text}" for row in data.itertuples())
    name = f"step-parts{view.suffix}"
    spec = finished(drawn, name, data, looks, f"{message}. {told}.", height=60 + 34 * len(looks))
    foot = f"{view.foot} {view.rounds} Marks: {FLOOR}. The mean of all steps, split by formula."
    return [Chart(name, message, f"{message}. {told}.", foot, "table.csv", looks, spec, parts=colors)]
