"""Which strategy to use at each batch size and length, and how the quickest contender compares with it."""

from __future__ import annotations

import pandas as pd

from ...words.comparison import Compared, spoken
from ...words.labels import listed
from ...words.quality import is_approximate
from .rows import Row, cases, is_strategy
from .section import Section


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence per cell."""
    return [Section("which to use", [f"{place}: {told(cell)}" for place, cell in cases(rows)])]


def told(cell: list[Row]) -> str:
    """Name the quickest case of a cell, the strategies that may be as quick, and the quickest contender.

    Approximate strategies are none of them: ``advice.approximate`` tells of them.
    """
    best = next(row for row in cell if row["strategy"] == row["best_strategy"])
    if is_approximate(best):
        return "only approximate strategies were timed; add an exact one, such as static_kv, to compare them with"
    cell = [row for row in cell if not is_approximate(row)]
    rivals = [row for row in cell if row is not best]
    parts = [spoken(best["strategy"]), *_rivals([row for row in rivals if is_strategy(row)], best)]
    contenders = sorted((row for row in rivals if not is_strategy(row)), key=lambda row: row["best_ratio"])
    if contenders and is_strategy(best):
        parts.append(f"of contenders, {_beside_it(contenders[0])}")
        if contenders[0]["tokens_equal"] == "no":
            same = [row for row in contenders if row["tokens_equal"] == "yes"]
            parts[-1] += ", with other tokens"
            parts += [f"with the same tokens, {_beside_it(row)}" for row in same[:1]]
    return "; ".join(parts)


def _rivals(rivals: list[Row], best: Row) -> list[str]:
    """Say how strategies that may be as quick as ``best`` compare with it, or the next quickest if there are none.

    The baseline is not named as one if the verdict of ``best`` against it is "faster". The two verdicts can differ,
    since their p-values are adjusted over different sets of comparisons.
    """
    decided = best["baseline"] if best["e2e_verdict"] == "faster" else ""
    near = [row for row in rivals if row["best_verdict"] in ("indistinguishable", "undecided")]
    if near := [row for row in near if row["strategy"] != decided]:
        return [listed([_beside_it(row) for row in near])]
    return [_beside_it(min(rivals, key=lambda row: row["best_ratio"]))] if rivals else []


def _beside_it(row: Row) -> str:
    """Say how a case compares with the quickest, called "it"."""
    return Compared.of(row, "best").clause(spoken(row["strategy"]), "it")
