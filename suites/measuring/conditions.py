"""Conditions: what else the machine does during the rounds of a cell, read between rounds and never inside one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from dataclasses import replace

import psutil

from ..machine.cores import allowed
from ..machine.limits import cores_limit
from ..machine.nvml import gpu
from ..machine.throttling import GpuWatch
from ..store.records import Conditions, Round

IDLE = {"idle", "iowait", "guest", "guest_nice"}
"""Fields of CPU time in which nothing runs, and those of guests, which other fields contain already."""
READ_SHARE = 0.01
"""Share of the time of the rounds that reading the CPU frequency may take."""


def busy_cpu_s() -> float | None:
    """Seconds that the machine's cores were busy since it started, time stolen by a hypervisor included."""
    try:
        times = psutil.cpu_times()._asdict()
    except (psutil.Error, OSError, RuntimeError, NotImplementedError):
        return None
    return float(sum(value for name, value in times.items() if name not in IDLE))


def fastest_core_mhz(cores: Collection[int]) -> float | None:
    """Highest frequency in MHz among ``cores``, those that this process may use; None if it cannot be read.

    A round runs on a busy core, and the busy core is the fastest one.
    """
    try:
        speeds = psutil.cpu_freq(percpu=True) or []
    except (psutil.Error, OSError, RuntimeError, NotImplementedError, AttributeError):
        return None
    return max((float(speed.current) for i, speed in enumerate(speeds) if i in cores), default=None)


class Watch:
    """Observes the machine during the rounds of a cell, from its construction to the call of ``conditions``."""

    def __init__(self, device: str) -> None:
        self._gpu = gpu() if device == "cuda" else None
        self._throttling = GpuWatch(self._gpu) if self._gpu else None
        self._cores = allowed()
        self._mhz: list[float] = []
        self._read_s, self._last = 0.0, time.monotonic()
        self._process = psutil.Process()
        self._busy_s, self._own_s, self._start = busy_cpu_s(), self._cpu_s(), time.monotonic()

    def _cpu_s(self) -> float:
        """CPU seconds of this process and its children: contenders do not count as load by others."""
        spent = 0.0
        for process in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent += times.user + times.system + times.children_user + times.children_system
        return float(spent)

    def of_arm(self, run: Callable[[], Round]) -> Round:
        """Run a round and add the energy that the GPU took meanwhile; then note what slows the GPU.

        The energy is that of the whole GPU from just before ``run`` to just after it, whichever process works on it. It
        contains the pauses of some milliseconds around the marks. Nothing is read on a CPU, nor without NVML.
        """
        if self._gpu is None or self._throttling is None:
            return run()
        before_j = self._gpu.energy_j()
        done = run()
        after_j = self._gpu.energy_j()
        self._throttling.after_round()
        if before_j is None or after_j is None or after_j < before_j:
            return done
        return replace(done, energy_j=after_j - before_j)

    def after_round(self) -> None:
        """Note the CPU frequency after a round, unless reading it would cost much (it is slow with many cores)."""
        start = time.monotonic()
        if self._read_s > READ_SHARE * (start - self._last):
            return
        mhz = fastest_core_mhz(self._cores)
        self._last = time.monotonic()
        self._read_s = self._last - start
        if mhz is not None:
            self._mhz.append(mhz)

    def conditions(self, stopped_by: str, aa_reason: str = "", crossed_reason: str = "") -> Conditions:
        """Return what was observed."""
        wall_s, busy_s = time.monotonic() - self._start, busy_cpu_s()
        throttled, throttled_s = self._throttling.ended() if self._throttling else ([], {})
        return Conditions(
            stopped_by=stopped_by,
            wall_s=wall_s,
            own_cpu_s=self._cpu_s() - self._own_s,
            busy_cpu_s=None if busy_s is None or self._busy_s is None else busy_s - self._busy_s,
            cores=cores_limit().amount,
            machine_cores=os.cpu_count() or 1,
            cpu_mhz=self._mhz,
            throttled=throttled,
            throttled_s=throttled_s,
            aa_reason=aa_reason,
            crossed_reason=crossed_reason,
        )
