"""The chart of the speedup over the baseline, with its interval: what remembering earlier work saves."""

from __future__ import annotations

from dataclasses import replace

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
    column, _ = view.axis
    title, rows = view.panels[-1]
    last = rows[rows[column] == rows[column].max()]
    best = last.loc[last["e2e_ratio"].idxmin()]
    where, baseline = view.at(best[column], title), spoken(str(best["baseline"]))
    if best["strategy"] == best["baseline"]:
        return f"At {where}, none takes less time than {baseline}"
    return f"At {where}, {Compared.of(best.to_dict()).clause(spoken(str(best['strategy'])), baseline)}"
