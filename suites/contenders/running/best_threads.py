"""The number of threads with which a contender decodes a cell fastest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import psutil

from ...machine.limits import cores_limit
from ...timing.clock import Clock
from ..errors import UnavailableError
from .arm import ContenderArm

ROUNDS = 3
"""Untimed rounds by which a number of threads is judged, after one that warms up."""


def thread_counts() -> list[int]:
    """Numbers to try: powers of two, the cores that this process may use, and as many as there are physical ones."""
    most = cores_limit().amount
    physical = min(psutil.cpu_count(logical=False) or most, most)
    return sorted({most, physical, *(1 << bit for bit in range(most.bit_length()))})


def fastest(start: Callable[[int], ContenderArm], counts: Iterable[int], clock: Clock) -> tuple[int, ContenderArm]:
    """Start the contender with each number of threads, and keep the one whose quickest round takes the least time.

    The others are closed. A number that the contender's library refuses is left out. Raises ContenderError, for the
    caller to close what ``start`` gave.
    """
    best: tuple[float, int, ContenderArm] | None = None
    refused: UnavailableError | None = None
    for threads in counts:
        try:
            arm = start(threads)
        except UnavailableError as error:
            refused = error
            continue
        arm.round(-1, True, clock)
        seconds = min(arm.round(-1, True, clock).marks_s[-1] for _ in range(ROUNDS))
        if best is not None and best[0] <= seconds:
            arm.close()
            continue
        if best is not None:
            best[2].close()
        best = seconds, threads, arm
    if best is None:
        assert refused is not None, "give a number of threads to try"
        raise refused
    return best[1], best[2]
