"""Time at a few points of a round: the CPU's clock, or events on a CUDA stream, behind one interface."""

from __future__ import annotations

import time
from typing import Protocol

import torch


class Clock(Protocol):
    """Takes marks; a step's mark may be dropped by a clock that must not disturb throughput."""

    every_step: bool

    def start(self) -> None:
        """Forget earlier marks and take the first, at zero."""

    def mark(self) -> None:
        """A mark that is always taken."""

    def step(self) -> None:
        """A mark after a decode step."""

    def marks_s(self) -> list[float]:
        """Seconds from the start of every mark taken; waits for the device."""


class CpuClock:
    """``time.perf_counter_ns``: a mark costs a fraction of a microsecond, so every step gets one."""

    every_step = True

    def __init__(self) -> None:
        self._marks_ns: list[int] = []

    def start(self) -> None:
        """Forget earlier marks, take the first."""
        self._marks_ns = [time.perf_counter_ns()]

    def mark(self) -> None:
        """One reading of the clock."""
        self._marks_ns.append(time.perf_counter_ns())

    step = mark

    def marks_s(self) -> list[float]:
        """Seconds since ``start``."""
        first = self._marks_ns[0]
        return [(mark - first) * 1e-9 for mark in self._marks_ns]


class CudaClock:
    """CUDA events on the current stream. With ``every_step=False`` steps are not marked, as throughput asks."""

    def __init__(self, every_step: bool) -> None:
        self.every_step = every_step
        self._events: list[torch.cuda.Event] = []
        self._taken = 0

    def start(self) -> None:
        """Wait for the device, then the first event."""
        torch.cuda.synchronize()
        self._taken = 0
        self.mark()

    def mark(self) -> None:
        """An event; those of earlier rounds are used again, so that after the warm-up none is made."""
        if self._taken == len(self._events):
            self._events.append(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
        self._events[self._taken].record()
        self._taken += 1

    def step(self) -> None:
        """An event, if steps are marked."""
        if self.every_step:
            self.mark()

    def marks_s(self) -> list[float]:
        """Seconds since ``start``, after waiting for the last event."""
        taken = self._events[: self._taken]
        taken[-1].synchronize()
        return [taken[0].elapsed_time(event) * 1e-3 for event in taken]


def clocks(device: str) -> list[Clock]:
    """The clocks that each round is timed with: one on the CPU; on CUDA one without and one with step marks."""
    if device == "cuda":
        return [CudaClock(every_step=False), CudaClock(every_step=True)]
    return [CpuClock()]
