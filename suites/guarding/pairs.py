"""The time of one piece of code relative to another, from pairs of runs in shuffled order."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from timeit import timeit

from ..judging.ratios import Ratio, paired_ratio
from ..measuring.arms import collector_set_aside


def time_ratio(run: Callable[[], object], baseline: Callable[[], object], pairs: int = 10, seed: int = 0) -> Ratio:
    """Return the ratio of the time of ``run`` to that of ``baseline``. Each must wait for its own result.

    The order within each pair is shuffled. One warm-up pair is discarded. Python's garbage is collected before each
    run and left alone inside it.
    >>> time_ratio(lambda: sum(range(50_000)), lambda: sum(range(500))).low > 5
    True
    """
    order = random.Random(seed)
    run_s: list[float] = []
    baseline_s: list[float] = []
    with collector_set_aside():
        for _ in range(pairs + 1):
            for timed, seconds in order.sample([(run, run_s), (baseline, baseline_s)], 2):
                gc.collect()
                seconds.append(timeit(timed, number=1))
    return paired_ratio(run_s[1:], baseline_s[1:])
