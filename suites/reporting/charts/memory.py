"""The chart of memory above the weights: K/V used, K/V reserved, and the peak of a round."""

from __future__ import annotations

import pandas as pd

from ...plots.memory import PANELS, message
from ...plots.view import View
from ...words.quantity import quantity
from .along import alternative
from .axis import Axis, ticks_of
from .chart import Chart, bars, curves


def charts(view: View) -> list[Chart]:
    """Make the one chart, of the last panel of the view; the reader chooses which of the three figures it shows."""
    view = view.having("kv_reserved_bytes")
    if view.table.empty:
        return []
    column, label = view.axis
    title, rows = view.panels[-1]
    rows = rows.sort_values(column)
    looks = {view.name(s): view.looks[s] for s in view.strategies}
    single = rows[column].nunique() < 2
    data = pd.concat(
        pd.DataFrame(
            {
                "panel": text,
                "label": [view.name(s) for s in rows["strategy"]],
                "x": rows[name] / 2**20 if single else rows[column].astype(float),
                "y": rows[name] / 2**20,
                "text": [quantity(size, "B") for size in rows[name]],
            }
        )
        for name, text in PANELS
    )
    alt, name = alternative(message(view), view, "peak_memory_bytes", "B"), f"memory{view.suffix}"
    kind = "allocator's peak" if rows["device"].iloc[0] == "cuda" else "peak of live tensor bytes"
    foot = f"{view.foot}{f' {title[0].upper()}{title[1:]}.' if title else ''} Above the loaded weights; {kind}."
    y = Axis("memory (MiB)", log=True)
    spec = (
        bars(name, data, looks, Axis("memory (MiB)"), alt)
        if single
        else curves(name, data.drop(columns="text"), looks, Axis(label, ticks_of(data["x"])), y, alt)
    )
    titles = None if single else (label, y.title)
    return [Chart(name, message(view), alt, foot, "table.csv", looks, spec, titles)]
