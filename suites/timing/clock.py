"""Clocks that take the marks of a round: the CPU's clock, or events on a CUDA stream, behind one interface."""

from __future__ import annotations

import time
from typing import Protocol

import torch


class Clock(Protocol):
    """Takes the marks of a round.

    ``every_step`` says whether each step gets a mark. A clock that must not disturb throughput takes none.
    """

    every_step: bool

    def start(self) -> None:
        """Forget earlier marks and take the first mark, which is zero."""

    def mark(self) -> None:
        """Take a mark, with or without ``every_step``."""

    def step(self) -> None:
        """Take a mark after a decode step, if ``every_step``."""

    def marks_s(self) -> list[float]:
        """Wait for the device, then return every mark in seconds since ``start``."""


class CpuClock:
    """Clock of the CPU, ``time.perf_counter_ns``. A mark costs a fraction of a microsecond, so every step gets one."""

    every_step = True

    def __init__(self) -> None:
        self._marks_ns: list[int] = []

    def start(self) -> None:
        """Forget earlier marks and take the first."""
        self._marks_ns = [time.perf_counter_ns()]

    def mark(self) -> None:
        """Read the clock."""
        self._marks_ns.append(time.perf_counter_ns())

    step = mark

    def marks_s(self) -> list[float]:
        """Every mark in seconds since ``start``."""
        first = self._marks_ns[0]
        return [(mark - first) * 1e-9 for mark in self._marks_ns]


class CudaClock:
    """Clock of a GPU: CUDA events on the current stream.

    With ``every_step=False`` steps are not marked, so that end-to-end time is measured without events between steps.
    """

    def __init__(self, every_step: bool) -> None:
        self.every_step = every_step
        self._events: list[torch.cuda.Event] = []
        self._taken = 0

    def start(self) -> None:
        """Wait for the device, forget earlier marks and record the first event."""
        torch.cuda.synchronize()
        self._taken = 0
        self.mark()

    def mark(self) -> None:
        """Record an event. Events of earlier rounds are reused, so that none is created after the warm-up."""
        if self._taken == len(self._events):
            self._events.append(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
        self._events[self._taken].record()
        self._taken += 1

    def step(self) -> None:
        """Record an event, if steps are marked."""
        if self.every_step:
            self.mark()

    def marks_s(self) -> list[float]:
        """Wait for the last event, then return every mark in seconds since ``start``."""
        taken = self._events[: self._taken]
        taken[-1].synchronize()
        return [taken[0].elapsed_time(event) * 1e-3 for event in taken]


def clocks(device: str) -> list[Clock]:
    """Make the clocks that rounds are timed with: one on the CPU; on CUDA one without and one with step marks."""
    if device == "cuda":
        return [CudaClock(every_step=False), CudaClock(every_step=True)]
    return [CpuClock()]
