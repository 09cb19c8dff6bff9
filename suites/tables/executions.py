"""Strategies that were executed in several ways: at equal execution, and each at its best.

The first comparison shows what remembering gives; the second, what to deploy. Contenders stand in both.
"""

from __future__ import annotations

import re

import pandas as pd

EQUAL, BEST = "equal execution: eager", "each strategy at its best"


def execution_in(label: str) -> str:
    """Of a strategy, by its label: for folders of versions that did not write it down.

    >>> execution_in("static_kv(execution=compiled,read=bucket)"), execution_in("static_kv")
    ('compiled', 'eager')
    """
    found = re.search(r"\bexecution=(\w+)", label)
    return found[1] if found else "eager"


def by_execution(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(title, rows of a case table) at equal execution and at its best; only ("", all) where all are eager.

    A comparison of which nothing was timed is left out.

    At its best a strategy, whatever its options, has one row a cell: that with the least time end to end.
    """
    eager = rows["execution"].isin(["eager", ""])
    if eager.all():
        return [("", rows)]
    name = rows["strategy"].str.partition("(")[0]
    measured = rows[rows["e2e_s"].notna()]
    best = measured.loc[measured.groupby(["cell", name], sort=False)["e2e_s"].idxmin()]
    return [(title, part) for title, part in ((EQUAL, rows[eager]), (BEST, best)) if part["e2e_s"].notna().any()]
