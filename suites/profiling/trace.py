"""Time a few decode steps of each strategy, then run the profiler over the same steps, and write the traces."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from strategies.search.loop import decode

from ..measuring.arms import StrategyArm, collector_set_aside
from ..settings.faults import blamed
from ..timing.clock import clocks
from ..words.slug import slug
from .calls import Call, read_calls
from .ranges import SEARCH, NamedRange, in_range, named_ranges, nvtx_range

ROUNDS = 6
"""Timed decodes of each strategy without the profiler, after one warm-up."""
WINDOWS = 3
"""Decodes of each strategy with the profiler. The fastest is kept, since disturbances only add time."""
DECODES = 1 + ROUNDS + WINDOWS

Arms = tuple[StrategyArm, StrategyArm]
"""Two equal arms of one strategy: one for its steps, one for the prefill that is profiled."""
Window = tuple[float, float, profile]
"""What ``profile_once`` returns."""


@dataclass(frozen=True)
class Trace:
    """The profile of one strategy. ``steps``: the k of its decode steps. ``path``: the trace for a viewer.

    ``unprofiled_s``: mean seconds per step, over the same steps, in each decode without the profiler, in the order of
    the rounds, which all strategies share. ``waited``: the part of the profiled steps in which the thread that runs the
    model was not on a processor.
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
        """Median seconds per step over the decodes without the profiler."""
        return statistics.median(self.unprofiled_s)


def unprofiled_steps_s(
    arms: Sequence[StrategyArm], device: str, steps: range, order: random.Random, advance: Callable[[], None]
) -> dict[str, list[float]]:
    """Mean seconds per step, over ``steps``, of each strategy in each of ``ROUNDS`` decodes, timed as ``run`` does.

    Each round decodes with every arm once, in shuffled order, so that drift of the machine affects all alike.
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
    """Profile a prefill of ``spare`` and the decode steps ``steps`` of ``arm`` in one window of the profiler.

    Returns (seconds that the steps took, the part of them that was spent off the processor, the profiler). The earlier
    steps are not in the window, so the prefill is that of another session. In Nsight Systems, an NVTX range with the
    strategy's label holds the window.
    """
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    # In the first part of the window the profiler warms up, and it drops what it sees there.
    parts = schedule(wait=0, warmup=1, active=1 + len(steps), repeat=1)
    arm.prefill()
    searching = arm.search()
    if arm.session.beams > 1:
        vars(searching)["choose"] = in_range(searching.choose, SEARCH, device)
    tokens = decode(arm.session, searching, "fixed")
    for _ in range(1, steps.start):
        next(tokens)
    gc.collect()
    with (
        nvtx_range(arm.label, device),
        named_ranges(arm.session.model, device),
        # There is one cycle. Without ``acc_events`` torch 2.11 warns that it keeps the events of one alone.
        profile(
            activities=activities, record_shapes=True, profile_memory=True, schedule=parts, acc_events=True
        ) as profiler,
    ):
        spare.prefill()
        wait()
        profiler.step()
        with NamedRange("prefill", device):
            spare.prefill()
            wait()
        start_s, busy_s = time.perf_counter(), time.thread_time()
        for k in steps:
            profiler.step()
            with NamedRange(f"decode_step {k}", device):
                next(tokens)
                wait()
        taken_s, busy_s = time.perf_counter() - start_s, time.thread_time() - busy_s
        profiler.step()
    return taken_s, max(0.0, 1 - busy_s / taken_s), profiler


def traces(
    arms: Sequence[Arms], device: str, steps: range, folder: Path, seed: int, advance: Callable[[], None]
) -> list[Trace]:
    """Time the decode steps ``steps`` of each strategy without the profiler, then with it.

    Both happen in rounds of all strategies, in an order shuffled with ``seed``. Of a strategy's ``WINDOWS`` windows,
    the one with the fastest steps is kept. Its trace is ``folder``/<strategy>/decodebench.<ms>.pt.trace.json;
    torch-tb-profiler shows it as a run with the strategy's name. ``advance`` is called after each of the ``DECODES``.
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
    """Write the trace of a window to a file, and read its calls."""
    _, waited, profiler = window
    path = folder / slug(label) / f"decodebench.{time.time_ns() // 1_000_000}.pt.trace.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(path))
    calls = read_calls(profiler.events())  # type: ignore[no-untyped-call]
    return Trace(label, device, steps, calls, unprofiled_s, waited, path)
