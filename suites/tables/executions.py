"""Comparisons of strategies that were executed in several ways: at equal execution, and each strategy at its best.

The first comparison shows what a strategy gains by remembering earlier work, the second what to deploy. Contenders
appear in both.
"""

from __future__ import annotations

import re

import pandas as pd

from ..words.comparison import eagerly
from .columns import SPEED
from .exactness import is_exact

EQUAL, BEST = "equal execution: eager", "each strategy at its best"


def execution_in(label: str) -> str:
    """Execution of a strategy, read from its label; for folders of versions that did not record it.

    >>> execution_in("static_kv(execution=compiled,read=bucket)"), execution_in("static_kv")
    ('compiled', 'eager')
    """
    found = re.search(r"\bexecution=(\w+)", label)
    return found[1] if found else "eager"


def by_execution(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Split the rows of a case table into the two comparisons, and return (title, rows) of each.

    At equal execution, the rows are eager cases and contenders. At its best, each strategy, whatever its options, has
    one row per cell: the quickest by ``SPEED``. An approximate strategy has one for all options but its execution,
    since others may lose more. A comparison in which nothing was timed is left out. Where
    every strategy was executed eagerly, the result is ("", all rows) alone.
    """
    eager = rows["execution"].isin(["eager", ""])
    if eager.all():
        return [("", rows)]
    name = rows["strategy"].str.partition("(")[0].where(is_exact(rows), rows["strategy"].map(eagerly))
    measured = rows[rows["e2e_s"].notna()]
    best = measured.sort_values(SPEED, kind="stable").groupby(["cell", name], sort=False).head(1).sort_index()
    return [(title, part) for title, part in ((EQUAL, rows[eager]), (BEST, best)) if part["e2e_s"].notna().any()]
