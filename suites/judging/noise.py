"""Warnings about what may have spoiled a run's times, each with cause and remedy; pure functions of its records."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..store.cell_folder import CellResult
from ..store.hardware import hardware_of_cells
from ..store.records import Conditions
from ..words.quantity import percent
from .baseline import approximate_of, baseline_of, end_to_end_s
from .other_load import others_load
from .verdict import MARGIN

CLOCK_SHARE = 0.1
DRIFT_SHARE = 0.1
TREND_P = 0.01
TREND_FROM = 6
SLOWED_SHARE = 0.01
"""Share of the rounds' time from which on a slowed GPU is reported. Half the clock for less costs below 2 %."""


@dataclass(frozen=True)
class Noise:
    """One thing that may have spoiled times. ``severity`` compares noises of the same ``kind``."""

    kind: str
    severity: float
    cause: str
    remedy: str


def trend_p(values: Sequence[float]) -> float:
    """Two-sided p-value of the test for a trend, by the exact distribution of Kendall's tau without ties (Mann 1945).

    Without a trend, the number of pairs in ascending order is distributed as the sum of independent uniform integers
    on 0 .. i, for i = 1 .. n - 1.

    >>> round(trend_p([1, 2, 3, 4, 5, 6]) * 720)
    2
    """
    distribution = np.ones(1)
    for i in range(2, len(values) + 1):
        distribution = np.convolve(distribution, np.full(i, 1 / i))
    change_P = np.subtract.outer(values, values).T[np.triu_indices(len(values), 1)]
    ascending = int((change_P > 0).sum() + (change_P == 0).sum() // 2)
    tail = min(distribution[: ascending + 1].sum(), distribution[ascending:].sum())
    return float(min(1.0, 2 * tail))


def _load(seen: Conditions) -> Iterator[Noise]:
    if others := others_load(seen.wall_s, seen.own_cpu_s, seen.busy_cpu_s, seen.machine_cores):
        yield Noise(
            "other load",
            others,
            f"other processes used {others:.1f} of {seen.machine_cores} cores during the rounds",
            "stop them, or give them and this run cores of their own (taskset)",
        )


def _threads(threads: int, device: str, seen: Conditions) -> Iterator[Noise]:
    if device == "cpu" and threads > seen.cores:
        yield Noise(
            "threads", threads / seen.cores, f"{threads} threads share {seen.cores} cores", f"give threads={seen.cores}"
        )


def _clock(seen: Conditions) -> Iterator[Noise]:
    lowest, highest = min(seen.cpu_mhz, default=0.0), max(seen.cpu_mhz, default=0.0)
    if highest > 0 and lowest < (1 - CLOCK_SHARE) * highest:
        yield Noise(
            "CPU frequency",
            highest / max(lowest, 1.0),
            f"the CPU's frequency went from {lowest:.0f} to {highest:.0f} MHz between rounds",
            "set the performance governor, turn turbo off, or cool it",
        )


def _gpu(seen: Conditions) -> Iterator[Noise]:
    counted = {reason: time_s / seen.wall_s for reason, time_s in seen.throttled_s.items() if seen.wall_s}
    shares = {reason: counted.get(reason) for reason in seen.throttled}
    slowed = {reason: share for reason, share in shares.items() if share is None or share >= SLOWED_SHARE}
    if slowed:
        causes = [
            name if share is None else f"{name} for {percent(share)} of the time" for name, share in slowed.items()
        ]
        yield Noise(
            "GPU throttling",
            sum(1.0 if share is None else share for share in slowed.values()),
            f"the GPU was slowed down: {', '.join(causes)}",
            "cool it or raise its power limit, or lock its clocks (nvidia-smi -lgc)",
        )


def _trend(result: CellResult) -> Iterator[Noise]:
    timed = {arm.strategy: end_to_end_s(result.rounds, arm.strategy) for arm in result.arms if arm.status == "ok"}
    base = baseline_of([label for label, times in timed.items() if times], approximate_of(result))
    by_index = timed.get(base, {})
    times = [by_index[index] for index in sorted(by_index)]
    if len(times) < TREND_FROM:
        return
    third = len(times) // 3
    change = float(np.median(times[-third:]) / np.median(times[:third]))
    margin = result.cell.get("measure", {}).get("margin", MARGIN)
    if abs(math.log(change)) > math.log1p(margin) and trend_p(times) < TREND_P:
        yield Noise(
            "trend",
            abs(math.log(change)),
            f"the baseline took {percent(abs(change - 1))} {'more' if change > 1 else 'less'} time in the last third "
            "of its rounds than in the first",
            "give more warm-up (measure.warmup=3), or let the machine come to rest; ratios within rounds still hold",
        )


def _collections(result: CellResult) -> Iterator[Noise]:
    spoiled = Counter(r.strategy for r in result.rounds if r.collections and not r.warmup)
    for strategy, count in spoiled.items():
        yield Noise(
            "garbage collection",
            count,
            f"Python's garbage was collected inside {count} rounds of {strategy}",
            "the strategy calls gc.collect() or gc.enable(); take that out of its steps",
        )


def _disturbed(result: CellResult) -> Iterator[Noise]:
    """Load during rounds in child processes: seen in single rounds, or only in all rounds of an arm together."""
    cores = result.conditions.machine_cores if result.conditions else 1
    for label in dict.fromkeys(r.strategy for r in result.rounds):
        counted = [r for r in result.rounds if r.strategy == label and not r.warmup]
        read = [(r.marks_s[-1], r.others_cores) for r in counted if r.others_cores is not None]
        busy_s = sum(wall_s * others for wall_s, others in read)
        others = others_load(sum(wall_s for wall_s, _ in read), 0.0, busy_s, cores, len(read))
        count = sum(r.disturbed for r in counted)
        if count or others:
            used = f"{others:.1f} of {cores} cores during the" if others else f"the CPU during {count}"
            yield Noise(
                "contender disturbed",
                max(count, len(read) if others else 0),
                f"other processes used {used} rounds of {label}",
                "stop them and measure again; its ratios have those rounds in them",
            )


def noises(result: CellResult) -> list[Noise]:
    """List what may have spoiled the times of one cell. A folder of schema 1 shows only trends."""
    found = [*_trend(result), *_collections(result), *_disturbed(result)]
    if (seen := result.conditions) is not None:
        found += [*_load(seen), *_threads(result.cell["threads"], result.cell["device"], seen), *_clock(seen)]
        found += _gpu(seen)
        if seen.aa_reason:
            found.append(Noise("A/A", 1, f"the A/A arm was not measured: {seen.aa_reason}", "see the reason"))
        if seen.crossed_reason:
            cause = f"the A/A arm in a child process was not measured: {seen.crossed_reason}"
            found.append(Noise("A/A in a child process", 1, cause, "ratios to contenders are without it"))
    return found


SPEEDS = {"read_bytes_per_s": "read memory", "gemm_flops_per_s": "multiplied matrices"}
"""Speeds of the machine in a calibration, and what it did."""


@dataclass(frozen=True)
class Speeds:
    """Speed of the machine in each cell of one device, hardware and number of threads, by its calibrations' medians."""

    name: str
    did: str
    medians: list[tuple[CellResult, float]]

    @property
    def drift(self) -> float:
        """The highest speed over the lowest where that is called a drift, else 0."""
        values = [value for _, value in self.medians]
        ratio = max(values) / min(values) if values else 0.0
        return ratio if ratio > 1 + DRIFT_SHARE else 0.0


def speeds(cells: Sequence[CellResult]) -> Iterator[Speeds]:
    """Yield the speeds of reading memory and of multiplying, for each device, hardware and number of threads."""
    groups: dict[tuple[str, int, str, str], list[CellResult]] = {}
    for result, machine in zip(cells, hardware_of_cells(cells, {}), strict=True):
        key = result.cell["device"], result.cell.get("threads", 1), machine["cpu"], machine["gpu"]
        groups.setdefault(key, []).append(result)
    for members in groups.values():
        for name, did in SPEEDS.items():
            counted = [(one, [getattr(c, name) for c in one.calibrations if not c.warmup]) for one in members]
            yield Speeds(name, did, [(one, float(np.median(values))) for one, values in counted if values])


def drift(cells: Sequence[CellResult]) -> list[Noise]:
    """The largest change of each speed between cells that have the same device, hardware and number of threads."""
    found: dict[str, Noise] = {}
    for measured in sorted(speeds(cells), key=lambda measured: measured.drift):
        if measured.drift:
            found[measured.name] = Noise(
                f"drift: {measured.name}",
                measured.drift,
                f"the machine {measured.did} {measured.drift:.2f} times as fast in one cell as in another",
                "measure again to compare times of cells, or multiply times by their calibration_ rate, "
                "as far as decoding drifts alike; ratios within a cell hold",
            )
    return [found[name] for name in SPEEDS if name in found]


def told(cells: Sequence[CellResult]) -> list[str]:
    """One line for each kind of noise in a run: its worst occurrence, the number of cells that have it, the remedy."""
    kinds: dict[str, list[Noise]] = {}
    for result in cells:
        worst = {noise.kind: noise for noise in sorted(noises(result), key=lambda noise: noise.severity)}
        for noise in worst.values():
            kinds.setdefault(noise.kind, []).append(noise)
    lines = []
    for found in kinds.values():
        worst_of = max(found, key=lambda noise: noise.severity)
        where = "" if len(cells) == 1 else f" (in {len(found)} of {len(cells)} cells{', the worst' * (len(found) > 1)})"
        lines.append(f"{worst_of.cause}{where}: {worst_of.remedy}")
    return lines + [f"{noise.cause}: {noise.remedy}" for noise in drift(cells)]
