"""Times a few decode steps of each strategy, then runs the profiler over them, and writes the traces."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from strategies import greedy

from ..measuring.arms import StrategyArm, collector_set_aside
from ..settings.faults import blamed
from ..timing.clock import clocks
from ..words.slug import slug
from .calls import Call, read_calls
from .ranges import named_ranges

ROUNDS = 6
"""Decodes of each strategy without the profiler whose steps are timed, after one to warm up."""
WINDOWS = 3
"""Decodes with it; the fastest is kept, since whatever disturbs a machine only adds time."""
DECODES = 1 + ROUNDS + WINDOWS

Arms = tuple[StrategyArm, StrategyArm]
"""Two of one strategy that differ in nothing: one for its steps, one for the prefill that is profiled."""
Window = tuple[float, float, profile]
"""See ``profile_once``."""


@dataclass(frozen=True)
class Trace:
    """One strategy's profile. ``steps`` are the k of its decode steps; ``path`` is the trace for a viewer.

    ``unprofiled_s`` is the mean time of the same steps in each decode without the profiler, in the order of the rounds,
    which all strategies share; ``waited`` is the part of the profiled steps in which the thread that runs the model was
    not on a processor.
    """

    label: str
    device: str
    steps: range
    calls: list[Call]
    unprofiled_s: list[float]
    waited: float
    path: Path

    @property
    def step_s(self) -> float:
        """Median over the decodes without the profiler."""
        return statistics.median(self.unprofiled_s)


def unprofiled_steps_s(
    arms: Sequence[StrategyArm], device: str, steps: range, order: random.Random, advance: Callable[[], None]
) -> dict[str, list[float]]:
    """Mean seconds of these steps of each strategy in each of ``ROUNDS`` decodes, timed as ``run`` times them.

    Each round decodes with every arm once, in shuffled order, so that a drift of the machine hits all alike.
    """
    clock = clocks(device)[-1]
    steps_s: dict[str, list[float]] = {arm.label: [] for arm in arms}
    for index in range(-1, ROUNDS):
        for arm in order.sample(arms, len(arms)):
            with blamed(arm.label):
                marks_s = arm.round(index, index < 0, clock).marks_s
            if index >= 0:
                steps_s[arm.label].append((marks_s[steps.stop] - marks_s[steps.start]) / len(steps))
            advance()
    return steps_s


def profile_once(arm: StrategyArm, spare: StrategyArm, device: str, steps: range) -> Window:
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


def traces(
    arms: Sequence[Arms], device: str, steps: range, folder: Path, seed: int, advance: Callable[[], None]
) -> list[Trace]:
    """Time the decode steps ``steps`` of each strategy without the profiler, then with it.

    Both in rounds of all strategies, in an order that ``seed`` shuffles. Of a strategy's ``WINDOWS`` windows the one
    whose steps took least is kept. Its trace is ``folder``/<strategy>/decodebench.<ms>.pt.trace.json, which
    torch-tb-profiler takes for a run of the strategy's name. ``advance`` is called after each of the ``DECODES``.
    """
    order = random.Random(seed)
    kept: dict[str, Window] = {}
    with collector_set_aside():
        unprofiled_s = unprofiled_steps_s([arm for arm, _ in arms], device, steps, order, advance)
        for _ in range(WINDOWS):
            for arm, spare in order.sample(arms, len(arms)):
                with blamed(arm.label):
                    window = profile_once(arm, spare, device, steps)
                if arm.label not in kept or window[0] < kept[arm.label][0]:
                    kept[arm.label] = window
                advance()
    return [_written(arm.label, device, steps, unprofiled_s[arm.label], kept[arm.label], folder) for arm, _ in arms]


def _written(label: str, device: str, steps: range, unprofiled_s: list[float], window: Window, folder: Path) -> Trace:
    """The window's trace as a file, and its calls."""
    _, waited, profiler = window
    path = folder / slug(label) / f"decodebench.{time.time_ns() // 1_000_000}.pt.trace.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))
    calls = read_calls(profiler.events())  # type: ignore[no-untyped-call]
    return Trace(label, device, steps, calls, unprofiled_s, waited, path)
