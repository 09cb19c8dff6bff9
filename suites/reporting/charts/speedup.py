"""The chart of the speedup over the baseline, with its interval: what remembering earlier work saves."""

from __future__ import annotations

from dataclasses import replace

from ...plots.view import View
from ...words.comparison import Compared
from .along import along
from .chart import Chart


def charts(view: View) -> list[Chart]:
    """Make the one chart; none if nothing was swept, or only the baseline was timed."""
    timed = view.having("e2e_ratio")
    rows = timed.table
    if rows.empty or rows[timed.axis[0]].nunique() < 2 or rows["strategy"].nunique() < 2:
        return []
    ends = {"speedup": "ratio", "speedup_low": "ratio_high", "speedup_high": "ratio_low"}
    speedups = replace(timed, table=rows.assign(**{name: 1 / rows[f"e2e_{of}"] for name, of in ends.items()}))
    title = f"speedup over {rows['baseline'].iloc[0]} (x)"
    return [along(speedups, "speedup", "speedup", 1.0, title, _message(timed))]


def _message(view: View) -> str:
    column, _ = view.axis
    title, rows = view.panels[-1]
    last = rows[rows[column] == rows[column].max()]
    best = last.loc[last["e2e_ratio"].idxmin()]
    where, strategy, baseline = view.at(best[column], title), best["strategy"], best["baseline"]
    if strategy == baseline:
        return f"At {where}, none takes less time than {baseline}"
    told = Compared.of(best.to_dict()).beside(str(baseline))
    return f"At {where}, {strategy}{':' if told.startswith('cannot') else ' is'} {told}"
