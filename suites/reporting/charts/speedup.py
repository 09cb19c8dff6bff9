"""The chart of the speedup over the baseline, with its interval: what remembering earlier work saves."""

from __future__ import annotations

from dataclasses import replace

from ...plots import totals
from ...plots.speedup import interval_told, quickest, speedups
from ...plots.view import View
from ...words.comparison import CLOSE, Compared, baseline_told
from .along import along
from .chart import Chart


def charts(view: View) -> list[Chart]:
    """Make the one chart; none if nothing was swept, or only the baseline was timed."""
    timed = view.having("e2e_ratio")
    rows = timed.table
    if rows.empty or not timed.is_swept or rows["strategy"].nunique() < 2:
        return []
    found = speedups(rows).rename(columns={"value": "speedup", "low": "speedup_low", "high": "speedup_high"})
    joined = replace(timed, table=rows.join(found))
    title = f"speedup over {baseline_told(rows['baseline'])} (x)"
    return [along(joined, "speedup", "speedup", 1.0, title, message(timed), interval_told(rows))]


def message(view: View) -> str:
    """Say the speedup of the quickest strategy at the first and at the last point, each with its interval.

    Contenders are left out. Where none of our strategies takes less time than the baseline at the last point, say how
    the quickest compares with it there, as the headline does.
    """
    column, _ = view.axis
    title, rows = view.panels[-1]
    best = quickest(rows[rows[column] == rows[column].max()])
    if best is None or best["e2e_ratio"] >= 1:
        return totals.message(view)
    mine = rows[rows["strategy"] == best["strategy"]]
    ends = mine[mine[column].isin([rows[column].min(), rows[column].max()])].sort_values(column)
    told = ", ".join(
        f"{_speedup(Compared.of(row))} at {view.at(row[column], title)}" for row in ends.to_dict("records")
    )
    return f"Speedup of {view.spoken(best['strategy'])} over {baseline_told(ends['baseline'])}: {told}"


def _speedup(one: Compared) -> str:
    """The speedup with its interval, and whether the rounds leave open which of the two is faster."""
    if one.is_decided or not one.verdict:
        return one.speedup
    return f"{one.speedup} ({CLOSE if one.is_close else 'not certain'})"
