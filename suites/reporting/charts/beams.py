"""The chart of beam search: the phoneme error against the time per sentence, a mark for each number of beams."""

from __future__ import annotations

import pandas as pd

from ...plots.curve import is_disturbed
from ...plots.quality import message, quickest, shows_beams
from ...plots.quality import points as points_of
from ...plots.view import View
from ...words.quantity import counted, quantity
from .chart import Chart, finished
from .points import points


def charts(view: View) -> list[Chart]:
    """Make the one chart; none where the rows do not show what beams buy (``shows_beams``)."""
    rows = points_of(view)
    if not shows_beams(rows):
        return []
    first = quickest(rows)
    data = pd.DataFrame(
        {
            "panel": "",
            "label": [view.name(s) for s in rows["strategy"]],
            "x": rows["ms"],
            "y": rows["percent"],
            "caption": [str(row["num_beams"] * (row["strategy"] == first) or "") for row in rows.to_dict("records")],
            "hollow": is_disturbed(rows),
            "above": True,
            "text": [
                f"{counted(int(row['num_beams']), 'beam')}: {row['percent']:.3g} %, {quantity(row['ms'] / 1e3, 's')}"
                for row in rows.to_dict("records")
            ],
        }
    )
    looks = {view.name(s): view.looks[s] for s in view.strategies if s in set(rows["strategy"])}
    said, name = message(rows), f"beams{view.suffix}"
    each = "; ".join(f"{label}, {text}" for label, text in zip(data["label"], data["text"], strict=True))
    drawn = points(data, looks, "time per sentence (ms), end to end over the batch", "phoneme error (%)", joined=True)
    spec = finished(drawn, name, data, looks, f"{said}. {each}.")
    note = view.within(rows["cell"]).disturbed_note
    foot = f"{view.foot} {view.rounds} Numbers: beams, for the quickest strategy.{note}"
    return [Chart(name, said, f"{said}. {each}.", foot, "table.csv", looks, spec)]
