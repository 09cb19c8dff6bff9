"""What a comparison amounts to: faster, slower, indistinguishable or undecided; p-values adjusted over a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from .ratios import CONFIDENCE, Ratio

Verdict = Literal["faster", "slower", "indistinguishable", "undecided", "baseline"]
MARGIN = 0.02
"""Share by which times may differ and still be the same to people, unless ``measure.margin`` says otherwise."""


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for all of them being tested at once (Holm 1979).

    In ascending order, for the i-th of m, from 0:

        adjusted(i) = max over j <= i of min(1, (m - j) p(j))

    so that below 0.05 none of all is wrong with 95 % confidence, however they depend on one another. NaN, a comparison
    that could not be made, stays NaN and does not count.

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


def verdict(ratio: Ratio, margin: float = MARGIN, p_holm: float | None = None, apart: float = 0.0) -> Verdict:
    """Of a ratio of times, a strategy's over the baseline's; ``margin`` and ``apart`` as shares of 1.

    faster, slower: the interval excludes 1, the estimate is beyond the margin, which is 1 / (1 + margin) .. 1 + margin,
    and beyond ``apart`` alike, by which equal things may differ for reasons that the interval does not know,
    and ``p_holm``, the adjusted p-value of its table, is below 0.05 (None: the ratio stands alone).
    indistinguishable: the interval lies inside the margin, both ends of it allowed. undecided: anything else; more
    rounds may decide, unless it is ``apart`` that does not let them.

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
