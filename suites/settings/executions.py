"""Strategies that were executed in several ways: at equal execution, and each at its best.

The first comparison shows what remembering gives; the second, what to deploy. Contenders stand in both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from .config import ConfigError

if TYPE_CHECKING:
    from strategies import Strategy

    from .cells import Cell
    from .config import RunConfig

EQUAL, BEST = "equal execution: eager", "each strategy at its best"


def execution_of(label: str) -> str:
    """Of a strategy's label.

    >>> execution_of("static_kv(execution=compiled,read=bucket)"), execution_of("static_kv")
    ('compiled', 'eager')
    """
    found = re.search(r"\bexecution=(\w+)", label)
    return found[1] if found else "eager"


def by_execution(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(title, rows of a case table) at equal execution and at its best; only ("", all) where all are eager.

    A comparison of which nothing was timed is left out.

    At its best a strategy, whatever its options, has one row a cell: that with the least time end to end.
    """
    eager = rows["strategy"].map(execution_of) == "eager"
    if eager.all():
        return [("", rows)]
    name = rows["strategy"].str.partition("(")[0]
    measured = rows[rows["e2e_s"].notna()]
    best = measured.loc[measured.groupby(["cell", name], sort=False)["e2e_s"].idxmin()]
    return [(title, part) for title, part in ((EQUAL, rows[eager]), (BEST, best)) if part["e2e_s"].notna().any()]


def require_eager(verb: str, strategies: Sequence[Strategy], config: RunConfig) -> None:
    """Raise ConfigError unless all are executed operator by operator, which ``verb`` looks at."""
    asked = [config.execution, *(strategy.execution for strategy in strategies)]
    if other := next((found for found in asked if found != "eager"), None):
        raise ConfigError(f"{verb}: execution={other} is not allowed; it looks at single operators: leave it out")
    if config.linear == "fused":
        raise ConfigError(f"{verb}: linear=fused is not allowed; it is for compiled steps: leave it out")


def without_effect(strategies: Sequence[Strategy], cell: Cell) -> str:
    """Why ``execution=compiled`` would compile nothing, or ``linear=fused``, for compiled steps of one float32 row,
    would change nothing; "" where neither is so.
    """
    if any(strategy.execution == "compiled" for strategy in strategies):
        from strategies.models.kernels.compiling import why_not_compiled

        if reason := why_not_compiled():
            return f"execution=compiled is not allowed here: {reason}"
    if cell.linear != "fused":
        return ""
    for value, remedy in (
        ("execution=eager", all(strategy.execution != "compiled" for strategy in strategies) and "execution=compiled"),
        (f"batch_size={cell.batch_size}", cell.batch_size != 1 and "batch_size=1"),
        (f"dtype={cell.dtype}", cell.dtype != "fp32" and "dtype=fp32"),
    ):
        if remedy:
            return f"linear=fused has no effect with {value}; give {remedy}, or leave linear out"
    return ""
