"""How the quality of an approximate strategy differs between two runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..words.quality import is_approximate

SHARES = ("exact", "top1_equal", "sequences_equal")
"""Figures of which more is better, 1 at most. Of the others, less is better."""
FIGURES = (*SHARES, "kl_nats", "kl_max_nats", "token_error", "phoneme_error")
SAME = 0.01
"""Share by which a loss may differ without being called better or worse: rounding differs between machines."""
LEAST = 1e-6
"""Difference of a loss that is nothing, whatever its share."""


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each known figure of quality of a case that is approximate in one of the runs.

    A row fails the comparison if the second run lost more, or lacks a figure that the first one had. ``exact`` is worse
    where a strategy became approximate.
    """
    if not (is_approximate(a) or is_approximate(b)):
        return
    for name in FIGURES:
        first, second = (float(row.get(name, math.nan)) for row in (a, b))
        if math.isnan(first) and math.isnan(second):
            continue
        word = verdict(*((1 - value if name in SHARES else value) for value in (first, second)))
        gate = "yes" if word == "worse" or (word == "missing" and is_approximate(b)) else ""
        change = second / first if first else math.nan
        yield {
            "figure": name,
            "kind": "quality",
            "a": first,
            "b": second,
            "change": change,
            "verdict": word,
            "gate": gate,
        }


def verdict(a: float, b: float) -> str:
    """Say what became of a loss, of which less is better; NaN stands for one that is not known.

    >>> verdict(0.1, 0.2), verdict(0.1, 0.1005), verdict(0.1, math.nan)
    ('worse', 'same', 'missing')
    """
    if math.isnan(a) or math.isnan(b):
        return "missing" if math.isnan(b) else "new"
    if math.isclose(a, b, rel_tol=SAME, abs_tol=LEAST):
        return "same"
    return "worse" if b > a else "better"
