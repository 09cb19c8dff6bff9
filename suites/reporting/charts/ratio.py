"""The chart of end-to-end time over the baseline's, with its interval: what remembering earlier work saves."""

from __future__ import annotations

from ...plots.view import View
from ...telling.advice.rows import interval
from .along import along
from .chart import Chart


def charts(view: View) -> list[Chart]:
    """Make the one chart; none if nothing was swept, or only the baseline was timed."""
    timed = view.having("e2e_ratio")
    rows = timed.table
    if rows.empty or rows[timed.axis[0]].nunique() < 2 or rows["strategy"].nunique() < 2:
        return []
    return [along(timed, "ratio", "e2e_ratio", 1.0, f"time over {rows['baseline'].iloc[0]}'s", _message(timed))]


def _message(view: View) -> str:
    column, _ = view.axis
    title, rows = view.panels[-1]
    last = rows[rows[column] == rows[column].max()]
    best = last.loc[last["e2e_ratio"].idxmin()]
    where = view.at(best[column], title)
    if best["strategy"] == best["baseline"]:
        return f"At {where}, none takes less time than {best['baseline']}"
    told = "" if best["e2e_verdict"] in ("faster", "slower") else f" ({best['e2e_verdict'] or 'undecided'})"
    share = interval(best.to_dict(), "e2e_ratio")
    return f"At {where}, {best['strategy']} takes {share} of the time of {best['baseline']}{told}"
