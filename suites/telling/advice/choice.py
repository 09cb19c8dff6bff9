"""Which strategy to use at each batch size and length, and how the quickest contender compares with it."""

from __future__ import annotations

import pandas as pd

from .rows import Row, cases, interval, is_strategy, listed
from .section import Section

TIES = {"indistinguishable": "as quick as it, within the margin", "undecided": "not told apart from it"}


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence per cell."""
    return [Section("which to use", [f"{place}: {told(cell)}" for place, cell in cases(rows)])]


def told(cell: list[Row]) -> str:
    """Name the quickest case of a cell, the strategies that may be as quick, and the quickest contender."""
    best = next(row for row in cell if row["strategy"] == row["best_strategy"])
    rivals = [row for row in cell if row is not best]
    parts = [best["strategy"], *_ties([row for row in rivals if is_strategy(row)], best)]
    contenders = sorted((row for row in rivals if not is_strategy(row)), key=lambda row: row["best_ratio"])
    if contenders and is_strategy(best):
        parts.append(f"the quickest contender, {_contender(contenders[0])}")
        if contenders[0]["tokens_equal"] == "no":
            same = [row for row in contenders if row["tokens_equal"] == "yes"]
            parts[-1] += ", with other tokens"
            parts += [f"the quickest with the same, {_contender(row)}" for row in same[:1]]
    return "; ".join(parts)


def _ties(rivals: list[Row], best: Row) -> list[str]:
    """Name the strategies that may be as quick as ``best``, or the next quickest if there are none.

    The baseline is not named as a tie if the verdict of ``best`` against it is "faster". The two verdicts can differ,
    since their p-values are adjusted over different sets of comparisons.
    """
    parts = []
    decided = best["baseline"] if best["e2e_verdict"] == "faster" else ""
    for verdict, meaning in TIES.items():
        if tied := [row for row in rivals if row["best_verdict"] == verdict and row["strategy"] != decided]:
            named = listed([f"{row['strategy']} ({interval(row, 'best_ratio')})" for row in tied])
            parts.append(f"{named} {'is' if len(tied) == 1 else 'are'} {meaning}")
    if rivals and not parts:
        second = min(rivals, key=lambda row: row["best_ratio"])
        parts.append(f"the next, {second['strategy']}, takes {interval(second, 'best_ratio')} times as long")
    return parts


def _contender(row: Row) -> str:
    """Say how the time of a contender compares with that of the quickest case."""
    ratio = f"{row['strategy']}, takes {interval(row, 'best_ratio')} of its time"
    return f"{ratio} and is {TIES[row['best_verdict']]}" if row["best_verdict"] in TIES else ratio
