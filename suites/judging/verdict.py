"""Verdict on a comparison: faster, slower, indistinguishable or undecided; p-values are adjusted over a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from .ratios import CONFIDENCE, Ratio

Verdict = Literal["faster", "slower", "indistinguishable", "undecided", "baseline"]
MARGIN = 0.02
"""Share by which times may differ and still count as the same, unless ``measure.margin`` says otherwise."""


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being tested together (Holm 1979).

    For the i-th of m p-values in ascending order, counted from 0:

        adjusted(i) = max over j <= i of min(1, (m - j) p(j))

    If every comparison with an adjusted p-value below 0.05 is called different, the chance that any of these calls is
    wrong is at most 5 %, however the comparisons depend on one another. NaN, for a comparison that could not be made,
    stays NaN and does not count.

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def holm_levels(p_values: Sequence[float]) -> list[float]:
    """The level at which Holm's procedure tests each p-value; NaN for NaN.

    For the i-th of m in ascending order, counted from 0, it is 0.05 / (m - i). The procedure stops at the first
    p-value that is not below its level, and all later ones have that level, too. So an interval at its level excludes
    1 exactly where ``holm`` gives less than 0.05.

    >>> [round(level, 4) for level in holm_levels([0.01, 0.04, 0.03])]
    [0.0167, 0.025, 0.025]
    """
    levels = [math.nan] * len(p_values)
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    level, stopped = math.nan, False
    for rank, i in enumerate(order):
        if not stopped:
            level = (1 - CONFIDENCE) / (len(order) - rank)
            stopped = not p_values[i] < level
        levels[i] = level
    return levels


def verdict(ratio: Ratio, margin: float = MARGIN, p_holm: float | None = None, apart: float = 0.0) -> Verdict:
    """Judge a ratio of times, an arm's over the baseline's.

    ``margin`` and ``apart`` are shares: they span 1 / (1 + share) .. 1 + share. ``apart`` is how far the ratio of equal
    things may be from 1 for reasons that the interval does not cover. ``p_holm`` is the p-value adjusted over the
    ratio's table; None where the ratio stands alone.

    - faster, slower: the interval excludes 1, the ratio lies outside both ``margin`` and ``apart``, and ``p_holm`` is
      below 0.05.
    - indistinguishable: the interval lies within ``margin``, its ends included.
    - undecided: anything else. More rounds may decide, unless ``apart`` is what prevents a verdict.

    >>> verdict(Ratio(0.9, 0.85, 0.95, 6), 0.02), verdict(Ratio(1.0, 0.99, 1.01, 6), 0.02)
    ('faster', 'indistinguishable')
    """
    lowest, highest = 1 / (1 + margin), 1 + margin
    if lowest <= ratio.low and ratio.high <= highest:
        return "indistinguishable"
    lowest, highest = min(lowest, 1 / (1 + apart)), max(highest, 1 + apart)
    if p_holm is not None and not p_holm < 1 - CONFIDENCE:
        return "undecided"
    if ratio.high < 1 and ratio.value < lowest:
        return "faster"
    if ratio.low > 1 and ratio.value > highest:
        return "slower"
    return "undecided"
