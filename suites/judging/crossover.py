"""Crossover: the length from which on one strategy beats another in cumulative time, by fits paired within rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from .ratios import CONFIDENCE

DEGREE = 2
"""Degree of the fit latency(k) = a + b k + c k^2: work done once, once per key, and once per pair of keys."""
FAR = 5.0
"""Distance from the fit, in robust standard deviations (1.4826 MAD), beyond which a step is left out of the fit. Normal
noise lies beyond it once in two million steps; a step that the machine interrupted is tens of deviations away."""
ROBUST_FROM = 8
"""Number of steps from which the fit is robust. At least half of the steps are always kept, enough to determine it."""
ROUNDING = 1e-9
"""Log ratios nearer to zero than this are ties."""
PASSES = 10
"""Greatest number of fits until the set of kept steps must have settled."""

Marks = Mapping[int, Sequence[float] | NDArray[np.float64]]


@dataclass(frozen=True)
class Crossover:
    """The first length from which on a strategy has taken less cumulative time than the baseline.

    ``k`` is the estimate; ``low`` and ``high`` are the ends of its 95 % confidence interval, with low <= k <= high.
    None means never and counts as the greatest. ``steps`` is the longest length that was measured.
    """

    k: int | None
    low: int | None
    high: int | None
    steps: int
    rounds: int


def crossover(strategy: Marks, baseline: Marks) -> Crossover:
    """Find the length from which on the cumulative time of ``strategy`` stays below that of ``baseline``.

    Both map a round's index to its marks in seconds: start, after prefill, after the first token, then after each later
    token. In each round that both have, over the steps that all rounds have, n = 1 .. N:

        T(n) = prefill + latency(1) + sum over k = 2 .. n of fit(k),   D(n) = log(T_strategy(n) / T_baseline(n))

    ``k`` is the first n from which on the mean of D over rounds stays below zero. ``low`` and ``high`` are the same for
    the lower and the upper end of the mean's 95 % Student t interval at each n. With a single round the interval spans
    everything, so ``low`` is 1 and ``high`` is never.

    D is a ratio and not a difference, since what slows a round slows both arms. So the verdict at N is near that of
    ``paired_ratio``. They differ where the fits leave steps out, where that interval spans the bootstrap's too, and on
    CUDA, where end-to-end times come from rounds without step marks. The first step, whose caches are cold, counts as
    measured and is not fitted.

    >>> equal, growing = [0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [0.0, 1.0, 1.5, 2.5, 4.0, 6.0, 8.5]
    >>> crossover({0: equal, 1: equal}, {0: growing, 1: growing})
    Crossover(k=5, low=5, high=5, steps=5, rounds=2)
    >>> crossover({0: growing, 1: growing}, {0: equal, 1: equal}).k is None
    True
    """
    both = sorted(strategy.keys() & baseline.keys())
    steps = min((len(arm[i]) for arm in (strategy, baseline) for i in both), default=2) - 2
    if not both or steps < 1:
        return Crossover(None, None, None, max(0, steps), len(both))
    mine_RN, other_RN = (cumulative_s(np.array([arm[i][: steps + 2] for i in both])) for arm in (strategy, baseline))
    gap_RN = np.log(mine_RN) - np.log(other_RN)  # the quotient of a sum that a fit made tiny would overflow
    mean_N, half_N = gap_RN.mean(axis=0), _half_interval(gap_RN)
    k, low, high = (_stays_negative(edge_N) for edge_N in (mean_N, mean_N - half_N, mean_N + half_N))
    return Crossover(k, low, high, steps, len(both))


def cumulative_s(marks_RM: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative time T(n) of each round (see ``crossover``), [R, N] in seconds, from its M = N + 2 marks.

    The fit is by least squares, which keeps the sum of the steps, over the steps within ``FAR`` of it. These steps are
    found from a fit to running medians of five, and again from each new fit until they settle. So a step that the
    machine interrupted moves no sum. Below ``ROBUST_FROM`` fitted steps all of them are kept, and below three the
    degree is lower.

    >>> cumulative_s(np.array([[0.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 109.0, 110.0, 111.0]]))[0, -1].round(3)
    np.float64(11.0)
    """
    latency_RN = np.diff(marks_RM[:, 1:], axis=1)
    if latency_RN.shape[1] > 1:
        latency_RN[:, 1:] = [_fit(later_N) for later_N in latency_RN[:, 1:]]
    sum_RN: NDArray[np.float64] = marks_RM[:, 1:2] + np.cumsum(latency_RN, axis=1)
    return np.maximum(sum_RN, np.finfo(float).tiny)


def _fit(latency_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit the latency of N steps and return the fitted values, [N] in seconds.

    k is scaled to 0 .. 1, which changes the coefficients of the fit but not its values.
    """
    steps = len(latency_N)
    x_N = np.linspace(0.0, 1.0, steps)

    def fitted(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(polynomial.polyval(x_N, polynomial.polyfit(x, y, min(DEGREE, steps - 1))), float)

    if steps < ROBUST_FROM:
        return fitted(x_N, latency_N)
    fit_N = fitted(x_N, np.median(sliding_window_view(np.pad(latency_N, 2, mode="reflect"), 5), axis=1))
    kept_N = np.zeros(steps, bool)
    for _ in range(PASSES):
        far_N = np.abs(latency_N - fit_N)
        near_N = far_N <= FAR * 1.4826 * np.median(far_N)
        if (near_N == kept_N).all():
            break
        kept_N, fit_N = near_N, fitted(x_N[near_N], latency_N[near_N])
    return fit_N


def _half_interval(gap_RN: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import stdtrit

    rounds, steps = gap_RN.shape
    if rounds < 2:
        return np.full(steps, math.inf)
    return np.std(gap_RN, axis=0, ddof=1) * float(stdtrit(rounds - 1, (1 + CONFIDENCE) / 2)) / math.sqrt(rounds)


def _stays_negative(values_N: NDArray[np.float64]) -> int | None:
    """The first n from which on all values are below zero by more than ``ROUNDING``; None if the last one is not."""
    not_N = np.flatnonzero(values_N >= -ROUNDING)
    first = int(not_N[-1]) + 2 if len(not_N) else 1
    return first if first <= len(values_N) else None
