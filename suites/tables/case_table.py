"""The table of cases, ``table.csv``: one row for each strategy and each contender in each cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..ceilings.columns import roof
from ..ceilings.floor import Ceilings
from ..judging.baseline import approximate_of, compare, crossed_floor, noise_floor, timed_s
from ..judging.crossover import crossover
from ..judging.disturbed import disturbances
from ..judging.ratios import Ratio
from ..metrics import Case, TimedRound, metrics
from ..settings.faults import Fault, contained
from ..settings.search import search_from
from ..store.cell_folder import CellResult
from ..store.environment_entries import EnvironmentEntry
from ..store.hardware import hardware_of_cells
from ..store.records import ArmResult, Round
from ..words.labels import plain
from ..words.search_told import search_told, source_of
from .columns import CROSSOVER, IDENTITY, QUALITY, TEXT_COLUMNS, TRUST, columns
from .executions import execution_in
from .metric_inputs import case_of, number
from .model_names import model_names
from .step_table import marks_of


def _cumulative(rounds: Sequence[Round], strategy: str) -> dict[int, NDArray[np.float64]]:
    """Map the index of each counted round with step marks to its marks, with 0 for a mark that is missing (NaN).

    That is right where only cumulative times count: if there is no mark after prefill, the first token's mark includes
    the time of prefill.
    """
    marks = {index: np.array(marks_s) for index, marks_s in marks_of(rounds, strategy).items()}
    return {index: np.where(np.isnan(marks_M), 0.0, marks_M) for index, marks_M in marks.items()}


def _timed(rounds: Sequence[Round], strategy: str, every_step: bool) -> dict[int, TimedRound]:
    """Map the index of each counted round of a strategy to the round, for rounds with step marks or (CUDA) without."""
    mine = (r for r in rounds if r.strategy == strategy and not r.warmup and r.every_step == every_step)
    return {r.index: TimedRound.of(r.marks_s, r.every_step, r.energy_j) for r in mine}


def _values(case: Case, rounds: Sequence[Round], strategy: str, tell: Callable[[str, Fault], None]) -> dict[str, float]:
    """Map each metric's name to its value for the case: the median over rounds where it has a value per round.

    The value is NaN for a metric that raises; ``tell`` is then given its name and the fault.
    """
    marked = _timed(rounds, strategy, every_step=True)
    # On CUDA, end-to-end times come from rounds without a synchronisation or event between steps, the gaps between
    # tokens from the other rounds.
    whole = _timed(rounds, strategy, every_step=False) or marked
    values = {}
    for name, metric in metrics().items():
        values[name] = math.nan
        with contained(partial(tell, name)):
            if not metric.per_round:
                values[name] = float(metric.function(case))
                continue
            for timed in (whole, marked):
                numbers = [float(metric.function(case, t)) for t in timed.values()] or [math.nan]
                values[name] = math.nan if np.isnan(numbers).all() else float(np.nanmedian(numbers))
                if not math.isnan(values[name]):
                    break
    return values


def _trust(result: CellResult) -> dict[str, Any]:
    counted = [c for c in result.calibrations if not c.warmup]
    speeds = [(c.read_bytes_per_s * 1e-9, c.gemm_flops_per_s * 1e-9) for c in counted] or [(math.nan, math.nan)]
    ended = result.conditions.stopped_by if result.conditions else ""
    return {"stopped_by": ended, **dict(zip(TRUST[-2:], np.median(speeds, axis=0).tolist(), strict=True))}


def case_table(
    cells: Sequence[CellResult],
    tell: Callable[[str, str, Fault], None] = lambda cell, metric, fault: None,
    environment: EnvironmentEntry | None = None,
) -> pd.DataFrame:
    """Make the table with one row per case. Times are medians over counted rounds, in seconds.

    Ratios are paired within rounds, and NaN if the two arms have no round in common. The baseline is full_recompute, or
    the first strategy that was timed where full_recompute was not. ``tell`` is given the cell's id, the name of a
    metric that raises, and the fault. ``environment`` is that of the run; cells of earlier versions have none.
    """
    rows = []
    hardware = hardware_of_cells(cells, environment or {})
    named = zip(cells, model_names(cells), hardware, disturbances(cells), *compare(cells), strict=True)
    for result, name, machine, disturbed_by, compared, beside_best in named:
        cell, trust = result.cell, _trust(result)
        search = search_from(cell.get("search"))
        ceilings = Ceilings.of(result.calibrations, "bf16" if cell.get("weights") else str(cell.get("dtype")))
        e2e = timed_s(result)
        median = {label: float(np.median(list(times.values()))) for label, times in e2e.items()}
        exact = [time_s for label, time_s in median.items() if label not in approximate_of(result)]
        least = min(exact or median.values(), default=math.nan)
        for arm in result.arms:
            found, label = compared[arm.strategy], arm.strategy
            best = beside_best[label]
            row: dict[str, Any] = {
                **{column: cell[column] for column in IDENTITY if column in cell},
                "cell": result.id,
                "model": name,
                "weights": cell.get("weights") or cell.get("dtype"),
                "linear": cell.get("linear", "torch"),
                "attention": cell.get("attention", "auto"),
                "tf32": str(cell.get("tf32", False)).lower(),
                "search": search_told(search),
                "num_beams": search.width,
                "source": source_of(cell),
                "first_sentence": cell.get("first_sentence", 0),
                **machine,
                "strategy": label,
                "execution": "" if label in cell.get("contenders", []) else arm.execution or execution_in(label),
                "status": arm.status,
                "reason": plain(arm.reason),
                "rounds": len(e2e.get(label, {})),
                "max_logit_error": number(arm.max_logit_error),
                "fp32_error_ratio": number(arm.fp32_error_ratio),
                "attention_ran": arm.attention_ran,
                "tokens_equal": {True: "yes", False: "no", None: ""}[arm.tokens_equal],
                **trust,
                "disturbed_by": ", ".join(disturbed_by),
                "memory_bound_by": cell.get("memory_bound_by", ""),
                **_quality(cell, arm),
                **roof(ceilings),
                "baseline": found.baseline,
                "e2e_verdict": found.verdict,
                "e2e_p_holm": found.p_holm,
                "e2e_beyond": found.beyond,
                "best_strategy": best.baseline,
                "best_verdict": best.verdict,
            }
            if arm.status == "ok":
                row |= _values(case_of(cell, arm, ceilings), result.rounds, label, partial(tell, result.id))
            if label in median:
                row |= _interval("e2e_ratio", found.ratio) | _interval("best_ratio", best.ratio)
                for kind, ends in (("e2e", found.holm), ("best", best.holm)):
                    row |= {f"{kind}_holm_low": ends[0], f"{kind}_holm_high": ends[1]}
                row["e2e_vs_best"] = median[label] / least
                if label == found.baseline:
                    row |= _interval("noise_floor", noise_floor(result, label))
                    row |= _interval("crossed_floor", crossed_floor(result, label))
                else:
                    first = crossover(*(_cumulative(result.rounds, name) for name in (label, found.baseline)))
                    row |= dict(zip(CROSSOVER, map(number, (first.k, first.low, first.high)), strict=True))
            rows.append(row)
    table = pd.DataFrame(rows, columns=columns())
    return table.astype({name: float for name in table if name not in TEXT_COLUMNS})


def _quality(cell: Mapping[str, Any], arm: ArmResult) -> dict[str, float]:
    """The columns ``QUALITY`` of a case. The phoneme error of a cell is not that of its approximate strategies."""
    found = {name: number(getattr(arm, name, None)) for name in QUALITY}
    if not arm.is_approximate:
        found["phoneme_error"] = number(cell.get("phoneme_error"))
    if not math.isnan(found["phoneme_error"]):
        found["phoneme_error_words"] = number(cell.get("phoneme_error_words"))
    return found


def _interval(name: str, ratio: Ratio) -> dict[str, float]:
    return {name: ratio.value, f"{name}_low": ratio.low, f"{name}_high": ratio.high}
