"""The number of threads with which a contender decodes a cell fastest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from ...machine.limits import cores_limit
from ...timing.clock import Clock
from ..errors import NoAnswerError, UnavailableError
from .arm import ContenderArm

ROUNDS = 3
"""Untimed rounds by which a number of threads is judged, after one that warms up."""
HOPELESS = 2.0
"""Times the best number's warm-up that another's may take; beyond, it is given up."""


def thread_counts() -> list[int]:
    """Numbers to try: powers of two, the cores that this process may use, and as many as there are physical ones.

    The most come first, since the fewest take longest, and are given up early then.
    """
    most = cores_limit().amount
    physical = min(psutil.cpu_count(logical=False) or most, most)
    return sorted({most, physical, *(1 << bit for bit in range(most.bit_length()))}, reverse=True)


@dataclass(frozen=True)
class Tried:
    """A number of threads that was tried: its arm, and the seconds of its warm-up and of its quickest round after."""

    threads: int
    arm: ContenderArm
    warmup_s: float
    seconds: float


def fastest(start: Callable[[int], ContenderArm], counts: Iterable[int], clock: Clock) -> tuple[Tried, list[int]]:
    """Start the contender with each number of threads, and keep the one whose quickest round takes the least time.

    The others are closed. Left out are numbers that the contender's library refuses and those that give no answer in
    time, which are returned beside the fastest. A number is given up when its warm-up takes ``HOPELESS`` times as long
    as that of the best so far. Raises ContenderError, for the caller to close what ``start`` gave.
    """
    best: Tried | None = None
    silent: list[int] = []
    left_out: UnavailableError | NoAnswerError | None = None
    for threads in counts:
        try:
            found = _tried(threads, start(threads), clock, best)
        except UnavailableError as error:
            left_out = error
            continue
        except NoAnswerError as error:
            left_out = error
            silent.append(threads)
            continue
        if best is None:
            best = found
        elif found.seconds < best.seconds:
            best.arm.close()
            best = found
        else:
            found.arm.close()
    if best is None:
        assert left_out is not None, "give a number of threads to try"
        raise left_out
    return best, silent


def _tried(threads: int, arm: ContenderArm, clock: Clock, best: Tried | None) -> Tried:
    warmup_s = arm.round(-1, True, clock).marks_s[-1]
    if best is not None and warmup_s >= HOPELESS * best.warmup_s:
        return Tried(threads, arm, warmup_s, math.inf)
    return Tried(threads, arm, warmup_s, min(arm.round(-1, True, clock).marks_s[-1] for _ in range(ROUNDS)))
