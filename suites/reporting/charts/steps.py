"""The chart of each decode step's latency against k, with the middle half of rounds as a band."""

from __future__ import annotations

import pandas as pd

from ...plots.step_latency import batches_note, drawable, ends, longest, message
from ...plots.view import View
from ...words.quantity import quantity
from .axis import Axis
from .chart import Chart, curves, spread, thinned


def charts(view: View) -> list[Chart]:
    """Make the one chart, of the longest cell of each batch; none if not ``drawable``."""
    if not drawable(view):
        return []
    frames: list[pd.DataFrame] = []
    told: list[str] = []
    top = 0.0  # one slow step must not hide the rest: the axis ends a little above nearly all of them
    shown = spread(longest(view))
    for panel, steps in shown:
        told = []
        top = max(top, float(steps["latency_q75_s"].quantile(0.995)) * 1.15e3)
        for strategy, mine in steps.groupby("strategy", sort=False):
            told.append(f"{view.name(strategy)} {' to '.join(quantity(end, 's') for end in ends(mine))}")
            mine = thinned(mine)
            ms = {
                "y": mine["latency_s"] * 1e3,
                "low": mine["latency_q25_s"] * 1e3,
                "high": mine["latency_q75_s"] * 1e3,
            }
            frames.append(pd.DataFrame({"panel": panel, "label": view.name(strategy), "x": mine["k"], **ms}))
    looks = {view.name(s): view.looks[s] for s in view.strategies if s in set(view.steps["strategy"])}
    alt = f"{message(view)}. From the first steps to the last: {'; '.join(told)}."
    name = f"steps{view.suffix}"
    x, y = Axis("keys attended at the step, k"), Axis("latency of the step (ms)", top=top)
    spec = curves(name, pd.concat(frames), looks, x, y, alt, points=False)
    foot = f"{view.foot} {view.rounds} Bands: middle half of rounds. The slowest steps may lie above the plot."
    foot += batches_note(view, len(shown))
    return [Chart(name, message(view), alt, foot, "steps.csv", looks, spec, (x.title, y.title))]
