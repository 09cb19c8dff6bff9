"""Every strategy against the baseline of its cell: ratios of paired rounds, verdicts over a table, the noise floor."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .results import CellResult, Round, crossed_label, twin_label
from .statistics import Ratio, paired_ratio
from .verdict import MARGIN, holm, verdict

BASELINE = "full_recompute"
CROSSING = 0.05
"""Share by which the same code may differ between two processes: the least margin of a contender, which runs in one of
its own. All its rounds share what stays with a process as long as it lives, which no interval over rounds holds.
In 12 of 13 quiet runs with one thread the same strategy was within it, in the other 6 % faster (docs/figures.md)."""
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
    """A strategy or contender beside another of its cell, the baseline. ``verdict`` "": it was not timed."""

    baseline: str
    ratio: Ratio = NO_RATIO
    p_holm: float = math.nan
    verdict: str = ""


def noise_floor(result: CellResult, baseline: str) -> Ratio:
    """The ratio of the A/A arm to the baseline, which it repeats; NaN where none was measured."""
    return ratio_of(end_to_end_s(result.rounds, twin_label(baseline)), end_to_end_s(result.rounds, baseline))


def crossed_floor(result: CellResult, baseline: str) -> Ratio:
    """The ratio of the A/A arm in a child process to the baseline, which it repeats; NaN where none was measured."""
    return ratio_of(end_to_end_s(result.rounds, crossed_label(baseline)), end_to_end_s(result.rounds, baseline))


def margin_of(result: CellResult, label: str, other: str) -> float:
    """Share of 1 that the verdict on ``label`` beside ``other`` allows: ``measure.margin`` within one process.

    Where a contender is one of them it is at least ``CROSSING``, and at least the ratio of the cell's A/A arm in a
    child process, if the interval of that excludes 1: there the same code was so much faster or slower.
    """
    asked = float(result.cell.get("measure", {}).get("margin", MARGIN))
    if not {label, other} & set(result.cell.get("contenders", [])):
        return asked
    apart = crossed_floor(result, baseline_of([arm.strategy for arm in result.arms if arm.status == "ok"]))
    shown = max(apart.value, 1 / apart.value) - 1 if apart.low > 1 or apart.high < 1 else 0.0
    return max(asked, CROSSING, shown)


Comparisons = list[dict[str, Comparison]]
"""For each cell, by label."""


def compare(cells: Sequence[CellResult]) -> tuple[Comparisons, Comparisons]:
    """(everything beside the cell's baseline, everything beside its quickest strategy).

    The quickest is the strategy with the least ratio to the baseline; a contender where none was timed. P-values of
    either are adjusted over all cells together (Holm). As the quickest is chosen by the same rounds, what ties with it
    is a little too often told apart.
    """
    times = [timed_s(result) for result in cells]
    to_baseline = _beside(cells, times, [baseline_of(timed) for timed in times])
    quickest = [_quickest(result, compared) for result, compared in zip(cells, to_baseline, strict=True)]
    return to_baseline, _beside(cells, times, quickest)


def timed_s(result: CellResult) -> dict[str, dict[int, float]]:
    """Label -> ``end_to_end_s`` of each arm that came to the end and was timed."""
    timed = {arm.strategy: end_to_end_s(result.rounds, arm.strategy) for arm in result.arms if arm.status == "ok"}
    return {label: seconds for label, seconds in timed.items() if seconds}


def _quickest(result: CellResult, compared: Mapping[str, Comparison]) -> str:
    timed = [label for label, comparison in compared.items() if comparison.ratio.rounds]
    ours = [label for label in timed if label not in result.cell.get("contenders", [])]
    return min(ours or timed, key=lambda label: compared[label].ratio.value, default="")


def _beside(
    cells: Sequence[CellResult], times: Sequence[Mapping[str, Mapping[int, float]]], bases: Sequence[str]
) -> Comparisons:
    """Each arm beside the one of its cell that ``bases`` names; p-values adjusted over all."""
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
        margin = margin_of(cells[number], label, base)
        found[number][label] = Comparison(base, ratio, p, verdict(ratio, margin, p))
    return found
