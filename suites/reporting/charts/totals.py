"""The charts of whole batches: end-to-end time, and throughput."""

from __future__ import annotations

import math

import pandas as pd

from ...judging.baseline import end_to_end_s
from ...plots.single import unit_of, whiskers_note
from ...plots.totals import message
from ...plots.view import View
from ...tables.exactness import rankable
from ...telling.advice.rows import place_of
from ...words.quantity import quantity
from .along import along, alternative
from .axis import Axis
from .chart import Chart, bars


def charts(view: View) -> list[Chart]:
    """Make the two charts; if nothing was swept, that of time alone, as bars."""
    if not view.is_swept:
        return [_bars(view)]
    drawn = [along(view, "time", "e2e_s", 1e3, "end to end (ms)", message(view))]
    if (known := view.having("throughput_tokens_per_s")).table.empty:
        return drawn
    column, title = "throughput_tokens_per_s", "throughput (tokens/s)"
    return [*drawn, along(known, "throughput", column, 1.0, title, _throughput(known))]


def _throughput(view: View) -> str:
    best = rankable(view.table).sort_values("throughput_tokens_per_s").iloc[-1]
    place = place_of(best.to_dict())
    rate, name = best["throughput_tokens_per_s"], view.spoken(best["strategy"])
    among = " of the exact strategies" if view.sets_aside else ""
    return f"The most tokens a second{among}: {name} with {rate:,.{0 if rate >= 100 else 1}f} at {place}"


def _bars(view: View) -> Chart:
    rows = view.table.sort_values("e2e_s")
    spreads = [list(end_to_end_s(view.timed, str(s)).values()) or [math.nan] for s in rows["strategy"]]
    looks = {view.name(s): view.looks[s] for s in rows["strategy"]}
    unit, scale = unit_of(max([float(rows["e2e_s"].max()), *(max(spread) for spread in spreads)]))
    data = pd.DataFrame(
        {
            "panel": "",
            "label": [view.name(s) for s in rows["strategy"]],
            "x": rows["e2e_s"] * scale,
            # Where a whisker goes on to the slowest round, the figure stands at its end and is not that end's.
            "text": [f"{'median ' * bool(view.timed)}{quantity(time, 's')}" for time in rows["e2e_s"]],
            "low": [scale * min(spread) for spread in spreads],
            "high": [scale * max(spread) for spread in spreads],
        }
    )
    alt = alternative(message(view), view, "e2e_s", "s")
    spec = bars(f"time{view.suffix}", data, looks, Axis(f"end to end ({unit})"), alt)
    foot = f"{view.foot} {view.rounds}{whiskers_note(view)}"
    return Chart(f"time{view.suffix}", message(view), alt, foot, "table.csv", looks, spec)
