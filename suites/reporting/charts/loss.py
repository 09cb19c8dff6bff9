"""The chart of loss against length: from which length on approximate strategies lose something."""

from __future__ import annotations

import pandas as pd

from ...plots.looks import Look
from ...plots.loss import foot, losses, message
from ...plots.view import View
from .axis import Axis, ticks_of
from .chart import Chart, curves

EXACT = "exact strategies"
DASHED = Look("#555555", "", ":")


def charts(view: View) -> list[Chart]:
    """Make the one chart, of the last panel; none unless an approximate strategy was judged at two lengths."""
    found = losses(view)
    if found is None:
        return []
    lossy, exact, (_, label) = found.approximate, found.exact, view.axis
    names = [view.name(s) for s in lossy["strategy"]]
    data = pd.concat(
        [
            pd.DataFrame({"panel": "", "label": names, "x": lossy[found.column].astype(float), "y": lossy["percent"]}),
            pd.DataFrame({"panel": "", "label": EXACT, "x": exact.index.astype(float), "y": exact.to_numpy()}),
        ]
    )
    looks = {view.name(s): view.looks[s] for s in lossy["strategy"]} | {EXACT: DASHED}
    said, name = message(view, found), f"loss{view.suffix}"
    ends = lossy.groupby("strategy", sort=False)["percent"].agg(["first", "last"])
    each = "; ".join(f"{view.name(s)} {first:.3g} to {last:.3g} %" for s, first, last in ends.itertuples())
    x, y = Axis(label, ticks_of(data["x"], found.column)), Axis(f"{found.measure.label} (%)")
    spec = curves(name, data, looks, x, y, f"{said}. {each}.")
    return [Chart(name, said, f"{said}. {each}.", foot(view, found), "table.csv", looks, spec, (x.title, y.title))]
