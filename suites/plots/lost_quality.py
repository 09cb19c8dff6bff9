"""What approximate strategies lose, in per cent, by the best measure of quality that a run has."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..tables.exactness import exact_rows, is_exact
from .swept import is_tied
from .view import View


@dataclass(frozen=True)
class Measure:
    """A measure of quality: a column of table.csv, and what is drawn of it, in words. Less of it is better."""

    column: str
    label: str

    def percent(self, rows: pd.DataFrame) -> pd.Series:
        """The measure of each row in per cent; NaN where it is not known.

        The phoneme error of an exact strategy is measured, and by the other measures it loses nothing.
        """
        known = 100 * rows[self.column]
        if self.column == "top1_equal":
            known = 100 - known
        return known if self.column == "phoneme_error" else known.mask(is_exact(rows), 0.0)


MEASURES = (
    Measure("phoneme_error", "phoneme error"),
    Measure("token_error", "token error"),
    Measure("top1_equal", "other top-1 choices"),
)
"""All measures, the best first: the first that is known of an approximate strategy is drawn."""
MANY = 4
"""Ratio of losses from which their axis is logarithmic."""
MEANING = {
    "phoneme_error": "Phoneme error: on held-out words; what is put out too much can take it above 100 %.",
    "token_error": "Token error: edits of the output against that of an exact strategy, over its tokens.",
    "top1_equal": "Other top-1 choices: share of steps at which an exact strategy, fed the same tokens, takes another.",
}


def measure_of(view: View, along: bool = False) -> Measure | None:
    """The best measure that is known of an approximate strategy of the view; None where there is none.

    ``along``: it is drawn along a length. The phrases of the phoneme error are as long as the shorter of source and
    target, so it does not follow one of two lengths that differ, and is left out there.
    """
    rows = view.table[~is_exact(view.table)]
    measures = MEASURES[1:] if along and not is_tied(rows) else MEASURES
    return next((one for one in measures if one.column in rows and rows[one.column].notna().any()), None)


def many_times_axis(axes: Axes, percent: pd.Series) -> bool:
    """Make the y axis logarithmic where the largest loss is many times the smallest; return whether that was done.

    On a linear axis one strategy that loses nearly everything would hide what the others lose.
    """
    low, high = percent.min(), percent.max()
    if not (low > 0 and high > MANY * low):
        return False
    axes.set_yscale("log")
    axes.set_ylim(low / 1.6, high * 1.8)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    return True


def judged(view: View, measure: Measure) -> pd.DataFrame:
    """The rows of strategies whose quality is known, with the column ``percent``. Contenders are left out."""
    rows = view.table[view.table["executed_flops"].notna()]
    return rows.assign(percent=measure.percent(rows)).dropna(subset="percent")


def exact_percent(rows: pd.DataFrame) -> float:
    """What exact strategies lose, in rows of one cell that ``judged`` selected; NaN where there is none."""
    return float(exact_rows(rows)["percent"].median())
