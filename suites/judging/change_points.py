"""Where the level of a series of runs changed: segments found by rank tests, each change with its size and interval.

The series is split in two where the ranks of the two sides differ most, and each part again, as long as a permutation
test finds a difference (binary segmentation; the statistic is the largest standardised sum of normal scores, van der
Waerden's, over all splits). Where no split does, the stretch within the series is sought that differs most from the
rest (circular binary segmentation, Olshen and others 2004): a level that comes back hides from a single split. Each of
the two tests has half the level.

Ranks make a single outlier harmless. The tests need no assumption on the noise except that without a change any order
of the values would be as likely: a slow drift of the machine is not noise in this sense, and is a change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .ratios import CONFIDENCE, bounded_exp

LEVEL = 0.05
"""Chance that a series without any change is said to have one, at most."""
SHORTEST = 2
"""Fewest values on either side of a change: a value that stands alone is no level."""
PERMUTATIONS = 9999
MANY = 20_000
"""Number of statistics of a series beyond which a tenth of the permutations must do: that of 200 values."""
EXACT = 2500
"""Product of two numbers of values up to which the interval of a change is that of the exact distribution of ranks."""


@dataclass(frozen=True)
class ChangePoint:
    """A change of level. ``at`` is the index of the first value of the new level.

    ``factor`` is the new level over the one before (Hodges and Lehmann's estimate), with its 95 % interval, which is
    NaN where the two levels have too few values for one. ``p`` is that of the test that split the series here.
    """

    at: int
    factor: float
    low: float
    high: float
    p: float


def fewest(level: float = LEVEL) -> int:
    """The least number of values for which a split can be found at all: 2 / C(n, n/2) is the least p-value of its test.

    >>> fewest(0.05), fewest(0.005)
    (10, 12)
    """
    return next(n for n in range(2 * SHORTEST, 100, 2) if 2 / math.comb(n, n // 2) <= level / 2)


def change_points(values: Sequence[float], level: float = LEVEL) -> list[ChangePoint]:
    """Find the changes of level in a series of positive values, in their order.

    ``level`` is the chance of a false change in a series without any. A part of the series is tested at its share of
    the level, so that the chance stays below the level when a true change has split the series. A change whose
    interval holds 1, once its neighbours are known, is dropped.

    >>> [(c.at, round(c.factor, 2)) for c in change_points([1.0, 1.01, 0.99, 1.02, 1.0, 1.2, 1.21, 1.19, 1.22, 1.2])]
    [(5, 1.2)]
    >>> change_points([1.0, 1.01, 0.99, 1.02, 1.0, 1.01])
    []
    """
    logs = np.log(np.asarray(values, float))
    splits: dict[int, float] = {}
    _split(logs, 0, level / max(len(logs), 1), splits)
    splits = _placed(logs, splits)
    while True:
        found = _measured(logs, splits)
        unclear = [change for change in found if change.low <= 1 <= change.high]
        if not unclear:
            return found
        del splits[max(unclear, key=lambda change: change.p).at]


def _split(logs: NDArray[np.float64], start: int, level_each: float, splits: dict[int, float]) -> None:
    """Add the splits of a part of a series that begins at index ``start``: the index of each, and its p-value."""
    for statistics, ends_of in ((_of_splits, _split_at), (_of_stretches, _stretch_at)):
        if len(logs) < 3 * SHORTEST:
            return
        scores = _scores(logs)
        null = _null(statistics, tuple(sorted(scores.tolist())))
        found = statistics(scores)
        p = (1 + int((null >= found.max() - 1e-9).sum())) / (1 + len(null))
        if p > level_each * len(logs) / 2:
            continue
        ends = ends_of(int(found.argmax()), len(logs))
        splits.update({start + at: p for at in ends})
        for first, last in zip([0, *ends], [*ends, len(logs)], strict=True):
            _split(logs[first:last], start + first, level_each, splits)
        return


def _placed(logs: NDArray[np.float64], splits: dict[int, float]) -> dict[int, float]:
    """Move each split to where it fits best between its neighbours: it was found before they were."""
    ends = [0, *sorted(splits), len(logs)]
    p_values = [splits[at] for at in ends[1:-1]]
    for number in range(1, len(ends) - 1):
        before, after = ends[number - 1], ends[number + 1]
        place = int(_of_splits(_scores(logs[before:after])).argmax())
        ends[number] = before + _split_at(place, after - before)[0]
    return dict(zip(ends[1:-1], p_values, strict=True))


def _scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Van der Waerden's scores: normal quantiles of the ranks; equal values share the mean of their ranks."""
    from scipy.special import ndtri

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    scores: NDArray[np.float64] = ndtri(ranks / (len(values) + 1))
    return scores - scores.mean()


def _of_splits(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The size of the standardised sum of scores before each split, in the order of ``_split_at``.

    It is standardised up to a constant factor. Series lie along the last axis.
    """
    count = scores.shape[-1]
    before = np.arange(SHORTEST, count - SHORTEST + 1)
    sums = np.cumsum(scores, axis=-1)[..., SHORTEST - 1 : count - SHORTEST]
    found: NDArray[np.float64] = np.abs(sums) / np.sqrt(before * (count - before))
    return found


def _split_at(place: int, count: int) -> list[int]:
    return [SHORTEST + place]


def _of_stretches(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same of each stretch that leaves ``SHORTEST`` values before and after it, in the order of ``_stretch_at``."""
    count = scores.shape[-1]
    sums = np.cumsum(scores, axis=-1)[..., SHORTEST - 1 : count - SHORTEST]
    found = [
        np.abs(sums[..., length:] - sums[..., :-length]) / math.sqrt(length * (count - length))
        for length in _lengths(count)
    ]
    return np.concatenate(found, axis=-1)


def _stretch_at(place: int, count: int) -> list[int]:
    for length in _lengths(count):
        starts = count - 2 * SHORTEST - length + 1
        if place < starts:
            return [SHORTEST + place, SHORTEST + place + length]
        place -= starts
    raise AssertionError("unreachable")


def _lengths(count: int) -> range:
    return range(SHORTEST, count - 2 * SHORTEST + 1)


@lru_cache(maxsize=256)
def _null(
    statistics: Callable[[NDArray[np.float64]], NDArray[np.float64]], scores: tuple[float, ...]
) -> NDArray[np.float64]:
    """The greatest statistic of each of many random orders of scores. Without ties, their number alone decides it."""
    rng, ordered = np.random.default_rng(len(scores)), np.array(scores)
    size = statistics(ordered).size
    count = PERMUTATIONS if size <= MANY else PERMUTATIONS // 10
    chunks = np.array_split(np.arange(count), max(1, min(count, count * size // 1_000_000)))
    drawn = (rng.permuted(np.tile(ordered, (len(chunk), 1)), axis=-1) for chunk in chunks)
    return np.concatenate([statistics(some).max(axis=-1) for some in drawn])


def _measured(logs: NDArray[np.float64], splits: dict[int, float]) -> list[ChangePoint]:
    """The changes at the splits: each stretch of the series beside the one before it."""
    ends = [0, *sorted(splits), len(logs)]
    found = []
    for start, at, end in zip(ends, ends[1:], ends[2:], strict=False):
        shift, low, high = _shift(logs[start:at], logs[at:end])
        found.append(ChangePoint(at, bounded_exp(shift), bounded_exp(low), bounded_exp(high), splits[at]))
    return found


def _shift(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float, float]:
    """By how much the second values are greater, with the 95 % interval that inverts Wilcoxon's rank sum test.

    The estimate is the median of all differences, the ends of the interval are differences as well.
    """
    differences = np.sort((second[:, None] - first[None, :]).ravel())
    outside = _outside(len(first), len(second))
    if outside < 1:
        return float(np.median(differences)), math.nan, math.nan
    return float(np.median(differences)), float(differences[outside - 1]), float(differences[-outside])


@lru_cache(maxsize=1024)
def _outside(m: int, n: int) -> int:
    """Place, from either end, of the difference that ends the 95 % interval; 0 where there are too few values."""
    tail = (1 - CONFIDENCE) / 2
    if m * n > EXACT:
        from scipy.special import ndtri

        return int(m * n / 2 + float(ndtri(tail)) * math.sqrt(m * n * (m + n + 1) / 12))
    counts = [1] + [0] * (m * n)
    for i in range(1, m + 1):  # Gauss's binomial coefficient: the number of orders with each rank sum
        for j in range(m * n, n + i - 1, -1):
            counts[j] -= counts[j - n - i]
        for j in range(i, m * n + 1):
            counts[j] += counts[j - i]
    total, below, place = math.comb(m + n, m), 0, 0
    while (below + counts[place]) / total <= tail:
        below += counts[place]
        place += 1
    return place
