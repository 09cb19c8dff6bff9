"""Marks of strategies in a plane of two figures, each with a caption and a tooltip, and perhaps a whisker across."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from ...plots.looks import Look
from .chart import FILLED, base_of
from .encodings import encodings

ROOM, BELOW = 1.15, 0.08
"""Where the axis upwards ends, over its largest value, and begins below zero, as a share of that: captions stand above
and below marks."""


def points(
    data: pd.DataFrame,
    looks: Mapping[str, Look],
    x: str,
    y: str,
    level: float = math.nan,
    joined: bool = False,
) -> Any:
    """Layers that draw a mark for each row of ``data``, in the axes of the titles ``x`` and ``y``.

    ``data`` has the columns panel, label, x, y, ``hollow``, ``caption``, ``above`` (whether the caption stands above
    the mark) and ``text`` (of the tooltip), and perhaps low and high. ``level`` is the height of a dashed line, and
    ``joined`` draws a line through the marks of a label.
    """
    base = base_of(data, looks)
    color, dash, shape = encodings(looks)
    across = alt.X("x:Q", axis=alt.Axis(title=x or None, tickCount=6), scale=alt.Scale(zero=True))
    top = ROOM * max(data["y"].max(), 0.0 if math.isnan(level) else level) or 1.0
    upwards = alt.Y("y:Q", axis=alt.Axis(title=y, tickCount=6), scale=alt.Scale(domain=[-BELOW * top, top], nice=False))
    hover = [alt.Tooltip("label:N", title="strategy"), alt.Tooltip("text:N", title="figures")]
    layers = []
    if not math.isnan(level):
        exact = alt.Chart(alt.InlineData(values=[{"y": level}]))
        layers.append(exact.mark_rule(strokeDash=[6, 4], color="#777777", aria=False).encode(y=upwards))
    if joined:
        layers.append(
            base.mark_line(strokeWidth=2, aria=False).encode(x=across, y=upwards, color=color, strokeDash=dash)
        )
    if "low" in data:
        known = base.transform_filter("datum.low < datum.high")
        reach = alt.X("low:Q", axis=across["axis"], scale=across["scale"])
        layers.append(known.mark_rule(strokeWidth=2, aria=False).encode(x=reach, x2="high:Q", y=upwards, color=color))
    dots = base.mark_point(size=110, opacity=1, strokeWidth=2, aria=False)
    layers.append(
        dots.encode(x=across, y=upwards, color=color, shape=shape, fill=color, fillOpacity=FILLED, tooltip=hover)
    )
    for side, distance in (("datum.above", -14), ("!datum.above", 16)):
        caption = base.transform_filter(side).mark_text(dy=distance, aria=False)
        layers.append(caption.encode(x=across, y=upwards, text="caption:N"))
    return alt.layer(*layers)
