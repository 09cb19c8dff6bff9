"""How the quality of an approximate strategy differs between two runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..words.quality import is_approximate

SHARES = ("exact", "top1_equal", "sequences_equal")
"""Figures of which more is better, 1 at most. Of the others, less is better."""
JUDGED = ("exact", "top1_equal", "kl_nats", "phoneme_error")
"""Figures that may fail the comparison. The others hang on a single step, or on the few sentences of a cell."""
FIGURES = (*JUDGED, "sequences_equal", "kl_max_nats", "token_error")
SAME = 0.01
"""Share by which a loss may differ without being called better or worse: rounding differs between machines."""
LEAST = 1e-6
"""Difference of a loss that is nothing, whatever its share."""
CHOICES, WORDS = 2, 3
"""How many choices may turn without being called a change, and how many words of mean length: rounding turns some that
are nearly ties. A long word has more phonemes than two of mean length."""
FEW_CHOICES, FEW_WORDS = 200, 300
"""How many are taken to stand behind a figure of a table of an earlier version, which does not say."""


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each known figure of quality of a case that is approximate in one of the runs.

    A row of ``JUDGED`` fails the comparison if the second run lost more, or lacks a figure that the first one had.
    ``exact`` is worse where a strategy became approximate.
    """
    if not (is_approximate(a) or is_approximate(b)):
        return
    for name in FIGURES:
        first, second = (_known(row, name) for row in (a, b))
        if math.isnan(first) and math.isnan(second):
            continue
        lost, now = ((1 - value if name in SHARES else value) for value in (first, second))
        word = verdict(lost, now, allowed(name, a, b))
        fails = word == "worse" or (word == "missing" and is_approximate(b))
        change = second / first if first else math.nan
        yield {
            "figure": name,
            "kind": "quality",
            "a": first,
            "b": second,
            "change": change,
            "verdict": word,
            "gate": "yes" if fails and name in JUDGED else "",
        }


def allowed(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """By how much a loss may differ: what a choice or a word that rounding turns can change of it.

    >>> row = {"choices": 400, "phoneme_error_words": 500, "kl_max_nats": 0.8}
    >>> allowed("top1_equal", row, row), allowed("phoneme_error", row, row), allowed("kl_nats", row, row)
    (0.005, 0.006, 0.004)
    """
    if name == "phoneme_error":
        return WORDS / _least(a, b, "phoneme_error_words", FEW_WORDS)
    choices = _least(a, b, "choices", FEW_CHOICES)
    if name == "kl_nats":  # the largest is that of one choice
        largest = [value for row in (a, b) if not math.isnan(value := _known(row, "kl_max_nats"))]
        return CHOICES * min(largest, default=0.0) / choices
    return CHOICES / choices if name == "top1_equal" else LEAST


def verdict(a: float, b: float, least: float = LEAST) -> str:
    """Say what became of a loss, of which less is better; NaN stands for one that is not known.

    ``least`` is the difference from which on it changed.

    >>> verdict(0.1, 0.2), verdict(0.1, 0.1005), verdict(0.1, math.nan), verdict(0.1, 0.2, 0.15)
    ('worse', 'same', 'missing', 'same')
    """
    if math.isnan(a) or math.isnan(b):
        return "missing" if math.isnan(b) else "new"
    if math.isclose(a, b, rel_tol=SAME, abs_tol=max(least, LEAST) + 1e-9):
        return "same"
    return "worse" if b > a else "better"


def _known(row: Mapping[str, Any], name: str) -> float:
    return float(row.get(name, math.nan))


def _least(a: Mapping[str, Any], b: Mapping[str, Any], name: str, unknown: int) -> float:
    """The smaller of the counts of two runs, ``unknown`` where neither says."""
    return min((value for row in (a, b) if (value := _known(row, name)) > 0), default=unknown)
