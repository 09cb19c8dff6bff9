"""Two ways to do the same, timed beside one another while a model is set up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
Clock = Callable[[], float]
"""Seconds."""
PASSES, SECONDS = 9, 0.3
"""Of pairs: at most so many, and none is begun after so long, three apart."""


def in_turn(one: Callable[[], T], other: Callable[[], T], clock: Clock) -> Iterator[tuple[T, T]]:
    """What ``one`` and ``other`` give, run in pairs, either first in turn."""
    end = clock() + SECONDS
    for number in range(PASSES):
        if number >= 3 and clock() > end:
            return
        if number % 2:
            last = other()
            yield one(), last
        else:
            yield one(), other()
