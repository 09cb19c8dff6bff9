"""The chart of the speedup over the baseline, with its interval: what remembering earlier work saves."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ...plots.totals import interval_told, speedups
from ...plots.view import View
from ...words.comparison import Compared, spoken
from .along import along
from .chart import Chart


def charts(view: View) -> list[Chart]:
    """Make the one chart; none if nothing was swept, or only the baseline was timed."""
    timed = view.having("e2e_ratio")
    rows = timed.table
    if rows.empty or rows[timed.axis[0]].nunique() < 2 or rows["strategy"].nunique() < 2:
        return []
    found = speedups(rows).rename(columns={"value": "speedup", "low": "speedup_low", "high": "speedup_high"})
    joined = replace(timed, table=rows.join(found))
    title = f"speedup over {rows['baseline'].iloc[0]} (x)"
    return [along(joined, "speedup", "speedup", 1.0, title, _message(timed), interval_told(rows))]


def _message(view: View) -> str:
    """Say the speedup of the quickest strategy at the first and at the last point, each with its interval."""
    column, _ = view.axis
    title, rows = view.panels[-1]
    first, last = (rows[rows[column] == end] for end in (rows[column].min(), rows[column].max()))
    best = last.loc[last["e2e_ratio"].idxmin()]
    if best["strategy"] == best["baseline"]:
        return f"At {view.at(best[column], title)}, none takes less time than {spoken(str(best['baseline']))}"
    ends = pd.concat([first[first["strategy"] == best["strategy"]], best.to_frame().T]).to_dict("records")
    told = ", ".join(f"{Compared.of(row).speedup} at {view.at(row[column], title)}" for row in ends)
    return f"Speedup of {spoken(str(best['strategy']))} over {spoken(str(best['baseline']))}: {told}"
