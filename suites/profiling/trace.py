"""Runs the profiler over one prefill and a few decode steps of a strategy, and writes the trace."""

from __future__ import annotations

import gc
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from strategies import greedy

from ..arms import StrategyArm, collector_set_aside
from ..clock import clocks
from .calls import Call, read_calls
from .ranges import named_ranges

PASSES = 3
"""Decodes without the profiler whose steps are timed, after one to warm up."""
WINDOWS = 3
"""Decodes with it; the fastest is kept, since whatever disturbs a machine only adds time."""
DECODES = 1 + PASSES + WINDOWS


@dataclass(frozen=True)
class Trace:
    """One strategy's profile. ``steps`` are the k of its decode steps; ``path`` is the trace for a viewer.

    ``unprofiled_s`` is the median time of the same steps in decodes without the profiler; ``waited`` is the part of
    the profiled steps in which the thread that runs the model was not on a processor.
    """

    label: str
    device: str
    steps: range
    calls: list[Call]
    unprofiled_s: float
    waited: float
    path: Path


def slug(label: str) -> str:
    """A label as the name of a folder.

    >>> slug("static_kv(capacity=64,read=buffer)")
    'static_kv-capacity-64-read-buffer'
    """
    return re.sub(r"[^\w.-]+", "-", label).strip("-")


def unprofiled_step_s(arm: StrategyArm, device: str, steps: range, advance: Callable[[], None]) -> float:
    """Median seconds of these steps over ``PASSES`` decodes, timed as ``run`` times them."""
    clock = clocks(device)[-1]
    times_s: list[float] = []
    for index in range(-1, PASSES):
        marks_s = arm.round(index, index < 0, clock).marks_s
        if index >= 0:
            times_s += (marks_s[k + 1] - marks_s[k] for k in steps)
        advance()
    return statistics.median(times_s)


def profile_once(arm: StrategyArm, spare: StrategyArm, device: str, steps: range) -> tuple[float, float, profile]:
    """One window of the profiler over a prefill of ``spare`` and the decode steps ``steps`` of ``arm``.

    Returns the seconds that the steps took, the part of them that was spent off the processor, and the profiler. The
    steps before them are not in the window; hence the prefill is of a session of its own.
    """
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    # In the window's first part the profiler warms up, and what it sees there it drops.
    parts = schedule(wait=0, warmup=1, active=1 + len(steps), repeat=1)
    arm.prefill()
    tokens = greedy(arm.session, "fixed")
    for _ in range(1, steps.start):
        next(tokens)
    gc.collect()
    with (
        named_ranges(arm.session.model),
        profile(activities=activities, record_shapes=True, profile_memory=True, schedule=parts) as profiler,
    ):
        spare.prefill()
        wait()
        profiler.step()
        with record_function("prefill"):
            spare.prefill()
            wait()
        start_s, busy_s = time.perf_counter(), time.thread_time()
        for k in steps:
            profiler.step()
            with record_function(f"decode_step {k}"):
                next(tokens)
                wait()
        taken_s, busy_s = time.perf_counter() - start_s, time.thread_time() - busy_s
        profiler.step()
    return taken_s, max(0.0, 1 - busy_s / taken_s), profiler


def trace(
    arm: StrategyArm, spare: StrategyArm, device: str, steps: range, folder: Path, advance: Callable[[], None]
) -> Trace:
    """Time the decode steps ``steps`` without the profiler, then with it; ``arm`` and ``spare`` differ in nothing.

    Of ``WINDOWS`` windows the one whose steps took least is kept. Its trace is
    ``folder``/<strategy>/decodebench.<ms>.pt.trace.json, which torch-tb-profiler takes for a run of the strategy's
    name. ``advance`` is called after each of the ``DECODES``.
    """
    windows = []
    with collector_set_aside():
        unprofiled_s = unprofiled_step_s(arm, device, steps, advance)
        for _ in range(WINDOWS):
            windows.append(profile_once(arm, spare, device, steps))
            advance()
    _, waited, profiler = min(windows, key=lambda window: window[0])
    path = folder / slug(arm.label) / f"decodebench.{time.time_ns() // 1_000_000}.pt.trace.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))
    calls = read_calls(profiler.events())  # type: ignore[no-untyped-call]
    return Trace(arm.label, device, steps, calls, unprofiled_s, waited, path)
