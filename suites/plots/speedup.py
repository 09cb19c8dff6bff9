"""The speedup of each case over its baseline: its values and their intervals, and which strategy is the quickest."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from ..tables.columns import SPEED
from ..tables.exactness import rankable
from ..words.comparison import Compared


def quickest(rows: pd.DataFrame) -> dict[Hashable, Any] | None:
    """Select the row of the quickest of our strategies beside the baseline, in rows of one cell; None without any.

    It is the best strategy of the cell, as the table has it. Where that is the baseline, or not known, it is the one
    with the least ratio, and of several of these the least time. Contenders are left out, and approximate strategies
    where an exact one is there.
    """
    ours = rankable(rows[rows["executed_flops"].notna() & rows["e2e_ratio"].notna()]).sort_values(SPEED, kind="stable")
    rivals = ours[ours["strategy"] != ours["baseline"]].to_dict("records")
    return next((row for row in rivals if row["strategy"] == row["best_strategy"]), rivals[0] if rivals else None)


def speedups(table: pd.DataFrame) -> pd.DataFrame:
    """The speedup of each row over its baseline, ``value``, and the ends of its interval, ``low`` and ``high``."""
    found = [Compared.of(row) for row in table.to_dict("records")]
    return pd.DataFrame(
        {"value": [1 / one.ratio for one in found], "low": [1 / one.holm_high for one in found],
         "high": [1 / one.holm_low for one in found]}, index=table.index,
    )  # fmt: skip


def interval_told(table: pd.DataFrame) -> str:
    """What interval ``speedups`` has: tables of earlier versions hold the plain one alone."""
    adjusted = table["e2e_holm_low"].notna().any()
    return f"95 % confidence interval{', adjusted for the number of comparisons' if adjusted else ''}"
