"""Every strategy against the baseline of its cell: ratios of paired rounds, verdicts over a table, the noise floor."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..store.cell_folder import CellResult
from ..store.records import Round, crossed_label, twin_label
from .ratios import Ratio, paired_ratio
from .verdict import MARGIN, holm, verdict

BASELINE = "full_recompute"
CROSSING = 0.05
"""Share by which the time of the same code may differ between two processes: a contender, which runs in one of its own,
is not called faster or slower within it. What stays with a process for many rounds no interval over rounds holds. In
12 of 13 quiet runs with one thread the same strategy stayed within it, in the other it was 6 % faster; with two threads
and weights about as large as the last cache it may be far more, which an A/A arm shows (docs/figures.md)."""
NO_RATIO = Ratio(math.nan, math.nan, math.nan, 0)


def baseline_of(strategies: Collection[str]) -> str:
    """Full recompute, or the first of those that were measured; "" if there is none."""
    return BASELINE if BASELINE in strategies else next(iter(strategies), "")


def end_to_end_s(rounds: Sequence[Round], label: str) -> dict[int, float]:
    """Seconds of an arm's counted rounds by index: those without step marks where there are any, as on CUDA."""
    mine = [r for r in rounds if r.strategy == label and not r.warmup]
    whole = [r for r in mine if not r.every_step] or mine
    return {r.index: r.marks_s[-1] for r in whole}


def ratio_of(times: Mapping[int, float], baseline: Mapping[int, float]) -> Ratio:
    """Of the rounds that both have, by their index."""
    both = sorted(times.keys() & baseline.keys())
    return paired_ratio([times[i] for i in both], [baseline[i] for i in both])


@dataclass(frozen=True)
class Comparison:
    """A strategy or contender beside another of its cell, the baseline. ``verdict`` "": it was not timed.

    ``beyond``: the share of 1 beyond which it would be faster or slower; NaN where nothing is compared.
    """

    baseline: str
    ratio: Ratio = NO_RATIO
    p_holm: float = math.nan
    verdict: str = ""
    beyond: float = math.nan


def noise_floor(result: CellResult, baseline: str) -> Ratio:
    """The ratio of the A/A arm to the baseline, which it repeats; NaN where none was measured."""
    return ratio_of(end_to_end_s(result.rounds, twin_label(baseline)), end_to_end_s(result.rounds, baseline))


def crossed_floor(result: CellResult, baseline: str) -> Ratio:
    """The ratio of the A/A arm in a child process to the baseline, which it repeats; NaN where none was measured."""
    return ratio_of(end_to_end_s(result.rounds, crossed_label(baseline)), end_to_end_s(result.rounds, baseline))


def crossing(result: CellResult, baseline: str) -> float:
    """Share of 1 by which the same code may take other time in another process, as contenders do.

    ``CROSSING``, or what the A/A arm in a child process shows if that is more: max(ratio, 1 / ratio) - 1, if its
    interval excludes 1. One that is not told from 1 shows nothing.
    """
    floor = crossed_floor(result, baseline)
    differs = floor.low > 1 or floor.high < 1
    return max(CROSSING, max(floor.value, 1 / floor.value) - 1 if differs else 0.0)


Comparisons = list[dict[str, Comparison]]
"""For each cell, by label."""


def compare(cells: Sequence[CellResult]) -> tuple[Comparisons, Comparisons]:
    """(everything beside the cell's baseline, everything beside its quickest strategy).

    The quickest is the strategy with the least ratio to the baseline; a contender where none was timed. P-values of
    either are adjusted over all cells together (Holm). As the quickest is chosen by the same rounds, what ties with it
    is a little too often told apart.
    """
    times = [timed_s(result) for result in cells]
    baselines = [baseline_of(timed) for timed in times]
    crossings = [
        crossing(result, base) if result.cell.get("contenders") else 0.0
        for result, base in zip(cells, baselines, strict=True)
    ]
    to_baseline = _beside(cells, times, crossings, baselines)
    quickest = [_quickest(result, compared) for result, compared in zip(cells, to_baseline, strict=True)]
    return to_baseline, _beside(cells, times, crossings, quickest)


def timed_s(result: CellResult) -> dict[str, dict[int, float]]:
    """Label -> ``end_to_end_s`` of each arm that came to the end and was timed."""
    timed = {arm.strategy: end_to_end_s(result.rounds, arm.strategy) for arm in result.arms if arm.status == "ok"}
    return {label: seconds for label, seconds in timed.items() if seconds}


def _quickest(result: CellResult, compared: Mapping[str, Comparison]) -> str:
    timed = [label for label, comparison in compared.items() if comparison.ratio.rounds]
    ours = [label for label in timed if label not in result.cell.get("contenders", [])]
    return min(ours or timed, key=lambda label: compared[label].ratio.value, default="")


def _beside(
    cells: Sequence[CellResult],
    times: Sequence[Mapping[str, Mapping[int, float]]],
    crossings: Sequence[float],
    bases: Sequence[str],
) -> Comparisons:
    """Each arm beside the one of its cell that ``bases`` names; p-values adjusted over all.

    ``crossings``: by how much two arms may differ of which one is a contender.
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
    adjusted = holm([ratio.p for ratio in ratios.values()])
    for ((number, label), ratio), p in zip(ratios.items(), adjusted, strict=True):
        base = found[number][label].baseline
        cell = cells[number].cell
        margin = float(cell.get("measure", {}).get("margin", MARGIN))
        apart = crossings[number] if {label, base} & set(cell.get("contenders", [])) else 0.0
        found[number][label] = Comparison(base, ratio, p, verdict(ratio, margin, p, apart), max(margin, apart))
    return found
