"""A figure of one run over that of another, with rounds that are not paired: Welch's interval, p-value, verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..judging.ratios import CONFIDENCE, Ratio, bounded_exp
from ..judging.verdict import Verdict, holm, verdict


@dataclass(frozen=True)
class Mean:
    """A mean of logarithms, its squared standard error (NaN below two rounds), and its number of rounds."""

    log: float
    variance: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Make one from positive values, one per round."""
        logs, count = np.log(np.asarray(values, float)), len(values)
        if count < 2:
            return cls(float(logs[0]) if count else math.nan, math.nan, count)
        return cls(float(logs.mean()), float(logs.var(ddof=1)) / count, count)

    @classmethod
    def of_interval(cls, value: float, low: float, high: float, rounds: int) -> Mean:
        """Make one from a ratio and its 95 % interval; half its width on the log scale is t x the standard error."""
        from scipy.special import stdtrit

        if rounds < 2:
            return cls(math.log(value), math.nan, rounds)
        error = math.log(high / low) / 2 / float(stdtrit(rounds - 1, (1 + CONFIDENCE) / 2))
        return cls(math.log(value), error**2, rounds)


def quotient(a: Mean, b: Mean) -> Ratio:
    """exp(b - a) with its 95 % confidence interval and p-value by Welch (1947): unequal variances, no pairs.

    >>> ratio = quotient(Mean.of([1.0, 1.1, 0.9, 1.0]), Mean.of([2.0, 2.1, 1.9, 2.0]))
    >>> round(ratio.value, 2), ratio.low < 2 < ratio.high, ratio.p < 0.001
    (2.0, True, True)
    """
    from scipy.special import stdtr, stdtrit

    variance, middle = a.variance + b.variance, b.log - a.log
    rounds = min(a.rounds, b.rounds)
    if math.isnan(variance) or rounds < 2:
        return Ratio(math.exp(middle), math.nan, math.nan, rounds)
    if variance == 0.0:
        return Ratio(math.exp(middle), math.exp(middle), math.exp(middle), rounds, float(middle == 0.0))
    error = math.sqrt(variance)
    freedom = variance**2 / sum(m.variance**2 / (m.rounds - 1) for m in (a, b))
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(middle) / error))
    return Ratio(math.exp(middle), bounded_exp(middle - half), bounded_exp(middle + half), rounds, p)


def verdicts(changes: Sequence[Ratio], margin: float) -> list[tuple[float, Verdict]]:
    """Return the adjusted p-value (Holm, over all changes) and the verdict of each change; ``margin`` is a share of 1.

    >>> verdicts([Ratio(1.2, 1.01, 1.4, 6, 0.04), Ratio(1.2, 1.1, 1.3, 6, 0.001)], 0.05)
    [(0.04, 'slower'), (0.002, 'slower')]
    """
    adjusted = holm([change.p for change in changes])
    return [(p, verdict(change, margin, p)) for change, p in zip(changes, adjusted, strict=True)]
