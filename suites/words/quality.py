"""What an approximate strategy loses, in words, from its row of table.csv."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

Row = Mapping[Any, Any]


def is_approximate(row: Row) -> bool:
    """Whether the row is of an approximate strategy; tables of earlier versions have none.

    >>> is_approximate({"exact": 0.0}), is_approximate({"exact": math.nan}), is_approximate({})
    (True, False, False)
    """
    return row.get("exact") in (False, "False")


def steps_remark(mine: int, exact: int) -> str:
    """The remark on an approximate strategy that ends after other steps than an exact one, which ``steps`` reads."""
    return f"decodes {mine} steps freely, an exact strategy {exact}"


def steps(row: Row) -> tuple[int, int] | None:
    """(its steps, those of an exact strategy) where they differ, by its remark; its total time is then of other work.

    >>> steps({"reason": "its K/V move; " + steps_remark(40, 52)}), steps({"reason": ""}), steps({})
    ((40, 52), None, None)
    """
    found = re.search(steps_remark(0, 0).replace("0", r"(\d+)"), str(row.get("reason", "")))
    return (int(found[1]), int(found[2])) if found else None


def _steps_told(row: Row) -> str:
    return f", {found[0]} steps instead of {found[1]}" if (found := steps(row)) else ""


def nearly(share: float) -> str:
    """Write a share in per cent with one decimal, which says 100 or 0 only of all or nothing.

    >>> nearly(0.9923), nearly(0.99996), nearly(1.0), nearly(0.0002), nearly(0.0)
    ('99.2 %', '>99.9 %', '100 %', '<0.1 %', '0 %')
    """
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share > 0.9995:
        return ">99.9 %"
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def quality(row: Row, exact_error: float) -> str:
    """The quality of an approximate strategy for a table. ``exact_error`` is the phoneme error of exact ones, or NaN.

    Where no phoneme error is known, the error against the exact tokens stands in for it. Where it ends after other
    steps than an exact strategy, both numbers are told, since times beside it are then not those of equal work.

    >>> row = {"top1_equal": 0.992, "phoneme_error": 0.0942, "token_error": 0.1}
    >>> quality(row, 0.0902), quality(row | {"phoneme_error": math.nan}, math.nan)
    ('top-1 99.2 %, phoneme error +0.40 pt', 'top-1 99.2 %, token error 10.0 %')
    >>> quality(row | {"reason": steps_remark(40, 52)}, 0.0902)
    'top-1 99.2 %, phoneme error +0.40 pt, 40 steps instead of 52'
    """
    if _unknown(row, "top1_equal"):
        return "not known"
    told = f"top-1 {nearly(row['top1_equal'])}"
    ended = _steps_told(row)
    if not _unknown(row, "phoneme_error"):
        change = 100 * (row["phoneme_error"] - exact_error)
        error = (
            f"{100 * row['phoneme_error']:.2f} %"
            if math.isnan(change)
            else f"{change:+{'.2f' if abs(change) < 10 else '.0f'}} pt"
        )
        return f"{told}, phoneme error {error.replace('-0.00', '+0.00')}{ended}"
    if not _unknown(row, "token_error"):
        told += f", token error {nearly(row['token_error'])}"
    return told + ended


def losses(row: Row, exact_error: float) -> str:
    """The quality of an approximate strategy in a clause. ``exact_error`` is the phoneme error of exact ones, or NaN.

    It says how many choices, words and outputs the figures stand on, where the row knows it.

    >>> row = {"top1_equal": 0.998, "kl_nats": 0.00031, "phoneme_error": 0.0902, "sequences_equal": 0.9}
    >>> losses(row | {"choices": 1756, "phoneme_error_words": 497}, 0.0898)
    '99.8 % of 1,756 choices equal, KL 0.00031 nats per step, phoneme error 9.02 % instead of 8.98 % (497 words)'
    >>> losses(row | {"phoneme_error": math.nan, "token_error": 0.01, "batch_size": 10}, math.nan)
    '99.8 % of choices equal, KL 0.00031 nats per step, 90.0 % of 10 outputs equal (token error 1.0 %)'
    """
    if _unknown(row, "top1_equal"):
        return "its quality is not known"
    choices = _counted(row, "choices", "choice")
    told = f"{nearly(row['top1_equal'])} of {choices} equal, KL {row['kl_nats']:.2g} nats per step"
    if not _unknown(row, "phoneme_error"):
        instead = "" if math.isnan(exact_error) else f" instead of {100 * exact_error:.2f} %"
        words = _counted(row, "phoneme_error_words", "word")
        over = f" ({words})" if words != "words" else ""
        return f"{told}, phoneme error {100 * row['phoneme_error']:.2f} %{instead}{over}"
    if _unknown(row, "token_error"):
        return told
    outputs = f"{nearly(row['sequences_equal'])} of {_counted(row, 'batch_size', 'output')} equal"
    return f"{told}, {outputs} (token error {nearly(row['token_error'])})"


def _counted(row: Row, name: str, noun: str) -> str:
    """A count with its noun; the noun alone where it is not known, as in tables of earlier versions."""
    if _unknown(row, name):
        return f"{noun}s"
    count = int(row[name])
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _unknown(row: Row, name: str) -> bool:
    value = row.get(name)
    return value is None or math.isnan(value)
