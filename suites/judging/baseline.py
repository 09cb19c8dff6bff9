"""Comparison of every arm with the baseline of its cell: paired ratios, verdicts over a table, the noise floor."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..store.cell_folder import CellResult
from ..store.records import Round, crossed_label, twin_label
from .ratios import Ratio, paired_ratio
from .verdict import MARGIN, holm, holm_levels, verdict

BASELINE = "full_recompute"
CROSSING = 0.05
"""Share by which times of the same code may differ between two processes. A contender runs in a process of its own, so
a difference within this share is not called faster or slower: an interval over rounds does not cover an effect that
stays with a process for many rounds. In 12 of 13 quiet runs with one thread the same strategy stayed within the share;
in the other it was 6 % faster. With two threads and weights about as large as the last cache the difference may be far
more, which an A/A arm shows (docs/figures.md)."""
NO_RATIO = Ratio(math.nan, math.nan, math.nan, 0)


def baseline_of(strategies: Collection[str], approximate: Collection[str] = ()) -> str:
    """Label of the baseline: full_recompute, or the first of ``strategies`` where it is absent; "" without any.

    Those that are ``approximate`` are passed over, unless there is no other.

    >>> baseline_of(["quantized_kv", "static_kv"], {"quantized_kv"}), baseline_of(["quantized_kv"], {"quantized_kv"})
    ('static_kv', 'quantized_kv')
    """
    exact = [label for label in strategies if label not in approximate]
    return BASELINE if BASELINE in strategies else next(iter(exact or strategies), "")


def approximate_of(result: CellResult) -> set[str]:
    """Labels of a cell's approximate strategies."""
    return {arm.strategy for arm in result.arms if arm.is_approximate}


def end_to_end_s(rounds: Sequence[Round], label: str) -> dict[int, float]:
    """Map the index of each counted round of an arm to its end-to-end time in seconds.

    Where an arm has rounds without step marks, as on CUDA, only these count.
    """
    mine = [r for r in rounds if r.strategy == label and not r.warmup]
    whole = [r for r in mine if not r.every_step] or mine
    return {r.index: r.marks_s[-1] for r in whole}


def ratio_of(times: Mapping[int, float], baseline: Mapping[int, float]) -> Ratio:
    """The paired ratio of ``times`` to ``baseline``, over the rounds whose index both have."""
    both = sorted(times.keys() & baseline.keys())
    return paired_ratio([times[i] for i in both], [baseline[i] for i in both])


@dataclass(frozen=True)
class Comparison:
    """Comparison of a strategy or contender with another of its cell, ``baseline``.

    ``p_holm`` is the p-value adjusted over the whole table, and ``holm`` the interval of the ratio at the level at
    which Holm's procedure tested it, 0.05 or less. ``verdict`` is "" where the arm was not timed. ``beyond`` is the
    share by which the ratio must differ from 1 to be called faster or slower; NaN where nothing is compared.
    """

    baseline: str
    ratio: Ratio = NO_RATIO
    p_holm: float = math.nan
    verdict: str = ""
    beyond: float = math.nan
    holm: tuple[float, float] = (math.nan, math.nan)


def noise_floor(result: CellResult, baseline: str) -> Ratio:
    """The noise floor: the ratio of the A/A arm to the baseline that it repeats; NaN where there was no A/A arm."""
    return ratio_of(end_to_end_s(result.rounds, twin_label(baseline)), end_to_end_s(result.rounds, baseline))


def crossed_floor(result: CellResult, baseline: str) -> Ratio:
    """The ratio of the A/A arm in a child process to the baseline that it repeats; NaN where there was no such arm."""
    return ratio_of(end_to_end_s(result.rounds, crossed_label(baseline)), end_to_end_s(result.rounds, baseline))


def crossing(result: CellResult, baseline: str) -> float:
    """Share by which times of the same code may differ between this process and a contender's.

    It is ``CROSSING``, or max(ratio, 1 / ratio) - 1 of the A/A arm in a child process where that is more. The A/A arm
    counts only if the interval of its ratio excludes 1.
    """
    floor = crossed_floor(result, baseline)
    differs = floor.low > 1 or floor.high < 1
    return max(CROSSING, max(floor.value, 1 / floor.value) - 1 if differs else 0.0)


Comparisons = list[dict[str, Comparison]]
"""One dictionary per cell, from an arm's label to its comparison."""


def compare(cells: Sequence[CellResult]) -> tuple[Comparisons, Comparisons]:
    """Compare every arm of each cell with the cell's baseline, and with its quickest strategy; return both.

    The quickest strategy is the exact one with the least ratio to the baseline, or a contender where no exact one was
    timed. An approximate one is it only where nothing else was timed.
    In each of the two, p-values are adjusted over all cells together (Holm). Since the quickest is chosen by the rounds
    that it is then judged by, an equally fast arm is called slower a little too often.
    """
    times = [timed_s(result) for result in cells]
    baselines = [baseline_of(timed, approximate_of(result)) for result, timed in zip(cells, times, strict=True)]
    crossings = [
        crossing(result, base) if result.cell.get("contenders") else 0.0
        for result, base in zip(cells, baselines, strict=True)
    ]
    to_baseline = _beside(cells, times, crossings, baselines)
    quickest = [_quickest(result, compared) for result, compared in zip(cells, to_baseline, strict=True)]
    return to_baseline, _beside(cells, times, crossings, quickest)


def timed_s(result: CellResult) -> dict[str, dict[int, float]]:
    """Map each arm that succeeded and was timed to its ``end_to_end_s``."""
    timed = {arm.strategy: end_to_end_s(result.rounds, arm.strategy) for arm in result.arms if arm.status == "ok"}
    return {label: seconds for label, seconds in timed.items() if seconds}


def _quickest(result: CellResult, compared: Mapping[str, Comparison]) -> str:
    timed = [label for label, comparison in compared.items() if comparison.ratio.rounds]
    exact = [label for label in timed if label not in approximate_of(result)]
    ours = [label for label in exact if label not in result.cell.get("contenders", [])]
    return min(ours or exact or timed, key=lambda label: compared[label].ratio.value, default="")


def _beside(
    cells: Sequence[CellResult],
    times: Sequence[Mapping[str, Mapping[int, float]]],
    crossings: Sequence[float],
    bases: Sequence[str],
) -> Comparisons:
    """Compare each arm with the arm of its cell that ``bases`` names; p-values are adjusted over all comparisons.

    ``crossings`` holds, for each cell, the share by which a contender and another arm may differ for no reason but
    running in two processes.
    """
    ratios: dict[tuple[int, str], Ratio] = {}
    found: Comparisons = []
    for number, (result, timed, base) in enumerate(zip(cells, times, bases, strict=True)):
        found.append({arm.strategy: Comparison(base) for arm in result.arms})
        for label, seconds in timed.items():
            if label == base:
                found[-1][label] = Comparison(base, ratio_of(seconds, seconds), verdict="baseline")
            else:
                ratios[number, label] = ratio_of(seconds, timed[base])
    p_values = [ratio.p for ratio in ratios.values()]
    judged = zip(ratios.items(), holm(p_values), holm_levels(p_values), strict=True)
    for ((number, label), ratio), p, level in judged:
        base = found[number][label].baseline
        cell = cells[number].cell
        margin = float(cell.get("measure", {}).get("margin", MARGIN))
        apart = crossings[number] if {label, base} & set(cell.get("contenders", [])) else 0.0
        judgement = verdict(ratio, margin, p, apart)
        found[number][label] = Comparison(base, ratio, p, judgement, max(margin, apart), ratio.at(level))
    return found
