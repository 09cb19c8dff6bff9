"""Marks of failed cases: a cross for each at the foot of the axes, at the place of its cell."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from .view import View

LOWEST, STEP = 0.03, 0.045
"""Place of the lowest cross, and the distance of the next above it, in heights of the axes."""


def mark_failed(axes: Axes, view: View, part: pd.DataFrame) -> list[float]:
    """Draw the crosses of a panel, with the status above those of a cell; return their places on the axis.

    A cross has the colour of its strategy. One that was measured nowhere has a cross in the legend alone.
    """
    column, _ = view.axis
    failed = view.failed_in(part)
    failed = failed[failed["strategy"].isin(view.strategies)]
    foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
    cross: dict[str, Any] = {"marker": "x", "markeredgewidth": 1.6, "linestyle": "none"}
    words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 6.5, "color": "#555555"}
    places = sorted(map(float, failed[column].unique()))
    for place in places:
        cases = failed[failed[column] == place]
        for number, strategy in enumerate(map(str, cases["strategy"])):
            axes.plot([place], [LOWEST + STEP * number], color=view.looks[strategy].color, **cross, **foot)
        told = "/".join(dict.fromkeys(map(str, cases["status"])))
        axes.text(place, LOWEST + STEP * (len(cases) - 0.4), told, **words, **foot)
    return places
