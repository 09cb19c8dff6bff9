"""Comparison of two arms that were timed in the same rounds: the mean paired log ratio and its interval."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
BOOTSTRAP_FROM = 20
"""Rounds from which the BCa bootstrap is heard; below, its intervals are too narrow for any noise."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of times with its 95 % interval; NaN bounds below two rounds, a NaN value without any.

    ``p``: two-sided p-value of the paired t test that the ratio is 1, for ``verdict.holm``.
    """

    value: float
    low: float
    high: float
    rounds: int
    p: float = math.nan


def half_interval(logs: NDArray[np.float64]) -> float:
    """Half the 95 % Student t interval of the mean of ``logs``, of which there are at least two."""
    from scipy.special import stdtrit  # scipy.stats takes seconds to import: only where the bootstrap needs it

    return float(stdtrit(len(logs) - 1, (1 + CONFIDENCE) / 2)) * float(logs.std(ddof=1)) / math.sqrt(len(logs))


def _p_value(mean: float, error: float, degrees: int) -> float:
    """Of the t test that the mean is zero, which is certain where nothing varies."""
    from scipy.special import stdtr

    if error == 0.0:
        return float(mean == 0.0)
    return 2 * float(stdtr(degrees, -abs(mean) / error))


def paired_ratio(times: Sequence[float], baseline: Sequence[float], seed: int = 0) -> Ratio:
    """exp(mean(log(times / baseline))), round by round, with its interval.

    Student's t below ``BOOTSTRAP_FROM`` rounds. From there on it spans that interval and the one of the bias-corrected
    and accelerated bootstrap (Efron 1987): the second follows noise that is skewed, but of 300 comparisons of equal
    arms under load, whose noise has heavy tails, it held the truth in 87 % at 24 rounds, the first in 97 %
    (docs/figures.md). The p-value is that of the t test throughout, so an interval that excludes 1 has one below 0.05.

    >>> paired_ratio([2.0, 2.0, 2.0], [1.0, 1.0, 1.0]).value
    2.0
    """
    logs = np.log(np.asarray(times, float) / np.asarray(baseline, float))
    count = len(logs)
    mean = float(logs.mean()) if count else math.nan
    if count < 2:
        return Ratio(math.exp(mean), math.nan, math.nan, count)
    spread = float(logs.std(ddof=1))
    half = half_interval(logs)
    low, high = mean - half, mean + half
    if count >= BOOTSTRAP_FROM and spread > 0.0:
        from scipy import stats

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            interval = stats.bootstrap(
                (logs,), np.mean, confidence_level=CONFIDENCE, method="BCa", rng=np.random.default_rng(seed)
            ).confidence_interval
        low, high = min(low, float(interval.low)), max(high, float(interval.high))
    p = _p_value(mean, spread / math.sqrt(count), count - 1)
    return Ratio(math.exp(mean), math.exp(low), math.exp(high), count, p)
