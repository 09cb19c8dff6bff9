"""Run two ways of doing the same in pairs, so that a probe can compare their times while a model is set up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
Clock = Callable[[], float]
"""A function that returns the time in seconds."""
PASSES, SECONDS = 9, 0.3
"""The most pairs, and the seconds after which no further pair begins; three pairs always run."""


def in_turn(one: Callable[[], T], other: Callable[[], T], clock: Clock) -> Iterator[tuple[T, T]]:
    """Yield the results of ``one`` and ``other`` in pairs. The two take turns in running first."""
    end = clock() + SECONDS
    for number in range(PASSES):
        if number >= 3 and clock() > end:
            return
        if number % 2:
            last = other()
            yield one(), last
        else:
            yield one(), other()
