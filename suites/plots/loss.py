"""The figure of loss against length: from which length on approximate strategies lose something."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ..tables.exactness import exact_rows, is_exact
from ..words.comparison import spoken
from ..words.labels import listed
from .curve import curve
from .ends import ends_of, name_ends, named, panel_height_in
from .lost_quality import MEANING, Measure, exact_percent, judged, many_times_axis, measure_of
from .style import RC, Legend, new_figure, swept_axis
from .view import View

LEAST = 0.5
"""Loss that counts, in points of per cent above exact strategies. The held-out words of a run have some 3,400 phonemes:
0.1 points are 3 of them, which a single word may turn.
"""
EXACT: dict[str, Any] = {"color": "#555555", "marker": "", "linestyle": (0, (4, 2)), "linewidth": 1.2}


@dataclass(frozen=True)
class Losses:
    """What strategies lose at each length: ``rows`` of one panel with the column ``percent``.

    ``exact`` is what exact strategies lose, by the value of ``column``, the lengths. ``panel`` names the panel.
    """

    measure: Measure
    rows: pd.DataFrame
    column: str
    exact: pd.Series
    panel: str

    @property
    def approximate(self) -> pd.DataFrame:
        """Rows of the approximate strategies, by length."""
        return self.rows[~is_exact(self.rows)].sort_values(self.column, kind="stable")


def losses(view: View) -> Losses | None:
    """What is lost in the last panel of a view; None unless an approximate strategy was judged at two lengths."""
    measure, (column, _) = measure_of(view, along=True), view.axis
    if measure is None or column not in ("tgt_len", "src_len"):
        return None
    panel, rows = replace(view, table=judged(view, measure)).panels[-1]
    exact = {length: exact_percent(mine) for length, mine in exact_rows(rows).groupby(column)}
    found = Losses(measure, rows, column, pd.Series(exact, dtype=float), panel)
    return found if found.approximate[column].nunique() > 1 else None


def figure(view: View) -> Figure | None:
    """Draw a curve for each approximate strategy. None where ``losses`` finds nothing."""
    found = losses(view)
    if found is None:
        return None
    lossy, column = found.approximate, found.column
    part, height = replace(view, table=lossy), 3.4
    at_ends = named(part, panel_height_in(height)) and ends_of(part, "percent", column)
    entries = [*([] if at_ends else part.legend().entries), ("exact strategies", EXACT)]
    drawn, [[axes]] = new_figure(message(view, found), foot(view, found), Legend(entries), height=height)
    with mpl.rc_context(RC):
        ends = {}
        for strategy, mine in lossy.groupby("strategy", sort=False):
            look, last = view.looks[str(strategy)], mine.iloc[-1]
            curve(axes, mine[column], mine["percent"], look)
            ends[view.name(strategy)] = (float(last[column]), float(last["percent"]), look.color)
        axes.plot(found.exact.index, found.exact, **EXACT)
        swept_axis(axes, column, found.rows[column])
        if not many_times_axis(axes, found.rows["percent"]):
            axes.set_ylim(0, max(found.rows["percent"].max(), LEAST) * 1.1)
        axes.set_xlabel(view.axis[1])
        axes.set_ylabel(f"{found.measure.label} (%)")
        if at_ends:
            name_ends(axes, ends, panel_height_in(height))
    return drawn


def foot(view: View, found: Losses) -> str:
    """Say where the losses were measured, and what they are."""
    where = f" {found.panel[0].upper()}{found.panel[1:]}." if found.panel else ""
    return f"{view.foot}{where} {MEANING[found.measure.column]}"


def message(view: View, found: Losses) -> str:
    """Say at which length each approximate strategy first loses more than ``LEAST``, and which lose it nowhere."""
    rows, column, nothing = found.approximate, found.column, f"{LEAST:g} points of {found.measure.label}"
    beyond = rows[rows["percent"] > rows[column].map(found.exact).fillna(0.0) + LEAST]
    begins = beyond.groupby("strategy", sort=False)[column].min()
    nowhere = [spoken(str(s)) for s in dict.fromkeys(rows["strategy"]) if s not in begins]
    last = view.at(rows[column].max())
    if begins.empty:
        return f"Up to {last} no approximate strategy loses more than {nothing}"
    told = ", ".join(f"by {spoken(str(s))} at {view.at(length)}" for s, length in begins.sort_values().items())
    without = f"; {listed(nowhere)} {'lose' if len(nowhere) > 1 else 'loses'} no more up to {last}" if nowhere else ""
    return f"More than {nothing} are first lost {told}{without}"
