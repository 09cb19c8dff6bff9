"""Which rows of a table are of approximate strategies: those that do not claim to give full recompute's logits."""

from __future__ import annotations

import pandas as pd

from ..words.quality import is_approximate


def is_exact(rows: pd.DataFrame) -> pd.Series:
    """Whether each row is of anything but an approximate strategy.

    Contenders, of which the column ``exact`` says nothing, and every row of a table of an earlier version count as
    exact.

    >>> is_exact(pd.DataFrame({"exact": [True, False, float("nan")]})).tolist()
    [True, False, True]
    """
    if "exact" not in rows:
        return pd.Series(True, index=rows.index)
    return ~rows["exact"].map(lambda told: is_approximate({"exact": told})).astype(bool)


def exact_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """All rows but those of approximate strategies."""
    return rows[is_exact(rows)]


def rankable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that may be ranked among one another: the exact ones, or all where none is exact."""
    found = exact_rows(rows)
    return rows if found.empty else found
