"""The chart of memory above the weights: K/V used, K/V reserved, and the peak of a round."""

from __future__ import annotations

import pandas as pd

from ...plots.kv_waste import waste_told
from ...plots.memory import foot_of, message, sizes_of
from ...plots.view import View
from ...words.quantity import quantity
from .along import alternative
from .axis import Axis, ticks_of
from .chart import Chart, bars, curves, panels_of


def charts(view: View) -> list[Chart]:
    """Make the one chart; the reader chooses which of the sizes it shows, and of which batch."""
    view = view.having("kv_reserved_bytes")
    if view.table.empty:
        return []
    column, label = view.axis
    shown, fewer = panels_of(view)
    looks = {view.name(s): view.looks[s] for s in view.strategies}
    single = all(rows[column].nunique() < 2 for _, rows in shown)
    data = pd.concat(
        pd.DataFrame(
            {
                "panel": ", ".join(filter(None, [text, title])),
                "label": [view.name(s) for s in rows["strategy"]],
                "x": rows[name] / 2**20 if single else rows[column].astype(float),
                "y": rows[name] / 2**20,
                "text": [quantity(size, "B") for size in rows[name]],
            }
        )
        for title, part in shown
        for rows in [part.sort_values(column)]
        for name, text in sizes_of(view)
    )
    alt, name = alternative(message(view), view, "peak_memory_bytes", "B"), f"memory{view.suffix}"
    foot = f"{foot_of(view)}{fewer}{waste_told(view)}"
    y = Axis("memory (MiB)", log=True)
    spec = (
        bars(name, data, looks, Axis("memory (MiB)"), alt)
        if single
        else curves(name, data.drop(columns="text"), looks, Axis(label, ticks_of(data["x"], column)), y, alt)
    )
    titles = None if single else (label, y.title)
    return [Chart(name, message(view), alt, foot, "table.csv", looks, spec, titles)]
