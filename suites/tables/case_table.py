"""From rounds to two tidy tables: one row a case (strategy in a cell), and one row a decode step of each case."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..ceilings.columns import CEILINGS, roof
from ..ceilings.floor import Ceilings
from ..judging.baseline import compare, crossed_floor, noise_floor, timed_s
from ..judging.crossover import crossover
from ..judging.ratios import Ratio
from ..metrics import Case, TimedRound, metrics
from ..settings.faults import Fault, contained
from ..store.cell_folder import CellResult
from ..store.files import write_text
from ..store.frame import read_frame, write_frame
from ..store.records import Round
from ..words.labels import plain
from ..words.slug import slug
from .executions import execution_in
from .metric_inputs import case_of, number
from .model_names import model_names
from .soundness import require_same_cases, require_sound_table

IDENTITY = [
    "cell", "model", "device", "dtype", "weights", "linear", "threads", "batch_size", "src_len", "tgt_len", "stop",
    "seed", "real_fraction", "strategy", "execution", "status", "reason", "rounds", "max_logit_error", "tokens_equal",
]  # fmt: skip
GROUP = ["model", "device", "dtype", "weights", "linear", "threads", "stop", "seed"]
"""What cases have in common that belong on one plot and in one ranking."""
RATIOS = ["baseline", "e2e_ratio", "e2e_ratio_low", "e2e_ratio_high", "e2e_vs_best"]
CROSSOVER = ["crossover_k", "crossover_low_k", "crossover_high_k"]
"""From which k on a case's cumulative time is less than the baseline's (``crossover.py``); NaN: never as measured."""
BEST = ["best_strategy", "best_ratio", "best_ratio_low", "best_ratio_high", "best_verdict"]
"""Time over that of the cell's quickest strategy, paired, and what it amounts to (``comparisons.compare``)."""
VERDICTS = ["e2e_p_holm", "e2e_beyond", "e2e_verdict"]
"""The p-value adjusted over the table, the share beyond which the ratio would be called faster or slower, and what it
amounts to (``verdict.py``); "" where it was not timed."""
MEMORY = ["memory_bound_by"]
"""In words, what sets the memory that forecasts are for (``limits.py``): this machine's, a control group, a key."""
TRUST = [
    "stopped_by", "noise_floor", "noise_floor_low", "noise_floor_high", "crossed_floor", "crossed_floor_low",
    "crossed_floor_high",
    "calibration_read_gb_per_s", "calibration_gemm_gflops_per_s",
]  # fmt: skip
"""What ended the rounds of the cell; on the baseline's row the ratios of its A/A arms to it with 95 % intervals, of the
one in this process and of the one in a child process as contenders run; the machine's own speed, medians of the counted
calibrations, in 1e9 bytes and FLOPs a second."""
TEXT_COLUMNS = {*IDENTITY, "baseline", "e2e_verdict", "best_strategy", "best_verdict", "stopped_by", *MEMORY}
PLOTTED = [
    "prefill_s", "e2e_s", "throughput_tokens_per_s", "executed_flops", "necessary_flops", "flops_waste", "step_bytes",
    "kv_used_bytes", "kv_reserved_bytes", "peak_memory_bytes",
]  # fmt: skip
STEP_COLUMNS = [
    "cell", "model", "device", "dtype", "batch_size", "src_len", "tgt_len", "strategy", "k",
    "latency_s", "latency_q25_s", "latency_q75_s",
    "flops", "weight_bytes", "self_kv_bytes", "cross_kv_bytes", "copy_bytes",
]  # fmt: skip


def _marks(rounds: Sequence[Round], strategy: str) -> dict[int, list[float]]:
    """Marks of a strategy's counted rounds that have one a step, by index."""
    return {r.index: r.marks_s for r in rounds if r.strategy == strategy and not r.warmup and r.every_step}


def _cumulative(rounds: Sequence[Round], strategy: str) -> dict[int, list[float]]:
    """The same where only sums from the start on count: the first token's mark holds an unmarked prefill's time."""
    return {
        index: [0.0 if math.isnan(mark) else mark for mark in marks_s]
        for index, marks_s in _marks(rounds, strategy).items()
    }


def _timed(rounds: Sequence[Round], strategy: str, every_step: bool) -> dict[int, TimedRound]:
    """Counted rounds of a strategy by index, those with step marks or (CUDA) without."""
    mine = (r for r in rounds if r.strategy == strategy and not r.warmup and r.every_step == every_step)
    return {r.index: TimedRound.of(r.marks_s, r.every_step) for r in mine}


def _values(case: Case, rounds: Sequence[Round], strategy: str, tell: Callable[[str, Fault], None]) -> dict[str, float]:
    """Metric name -> value, the median where it has one a round; NaN for one that raises, of which is told."""
    marked = _timed(rounds, strategy, every_step=True)
    # On CUDA, rounds without a synchronisation or event between steps say how fast decoding is; the others say the
    # gaps.
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
    cells: Sequence[CellResult], tell: Callable[[str, str, Fault], None] = lambda cell, metric, fault: None
) -> pd.DataFrame:
    """One row a case. Times in seconds are medians over counted rounds; ratios are paired within rounds.

    The baseline is full recompute, or the first strategy that was measured. Without a common round a ratio is NaN.
    ``tell`` is given the cell's id and the name of a metric that raises.
    """
    rows = []
    for result, name, compared, beside_best in zip(cells, model_names(cells), *compare(cells), strict=True):
        cell, trust = result.cell, _trust(result)
        ceilings = Ceilings.of(result.calibrations, "bf16" if cell.get("weights") else str(cell.get("dtype")))
        e2e = timed_s(result)
        median = {label: float(np.median(list(times.values()))) for label, times in e2e.items()}
        for arm in result.arms:
            found, label = compared[arm.strategy], arm.strategy
            best = beside_best[label]
            row: dict[str, Any] = {
                **{column: cell[column] for column in IDENTITY if column in cell},
                "cell": result.id,
                "model": name,
                "weights": cell.get("weights") or cell.get("dtype"),
                "linear": cell.get("linear", "torch"),
                "strategy": label,
                "execution": "" if label in cell.get("contenders", []) else arm.execution or execution_in(label),
                "status": arm.status,
                "reason": plain(arm.reason),
                "rounds": len(e2e.get(label, {})),
                "max_logit_error": number(arm.max_logit_error),
                "tokens_equal": {True: "yes", False: "no", None: ""}[arm.tokens_equal],
                **trust,
                "memory_bound_by": cell.get("memory_bound_by", ""),
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
                row["e2e_vs_best"] = median[label] / min(median.values())
                if label == found.baseline:
                    row |= _interval("noise_floor", noise_floor(result, label))
                    row |= _interval("crossed_floor", crossed_floor(result, label))
                else:
                    first = crossover(*(_cumulative(result.rounds, name) for name in (label, found.baseline)))
                    row |= dict(zip(CROSSOVER, map(number, (first.k, first.low, first.high)), strict=True))
            rows.append(row)
    table = pd.DataFrame(rows, columns=_columns())
    return table.astype({name: float for name in table if name not in TEXT_COLUMNS})


def _columns() -> list[str]:
    return [*IDENTITY, *metrics(), *RATIOS, *BEST, *VERDICTS, *CROSSOVER, *MEMORY, *TRUST, *CEILINGS]


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """A case table of an earlier version with the columns that it lacks, in which nothing is known."""
    missing = {name: "" if name in TEXT_COLUMNS else math.nan for name in _columns() if name not in table}
    return table.assign(**missing)


def _interval(name: str, ratio: Ratio) -> dict[str, float]:
    return {name: ratio.value, f"{name}_low": ratio.low, f"{name}_high": ratio.high}


def step_table(cells: Sequence[CellResult]) -> pd.DataFrame:
    """One row a decode step of each case: quartiles of its latency over rounds, and its FLOPs and bytes by formula.

    The first step's latency is TTFT - prefill; the others are the gaps between tokens.
    """
    frames = []
    for result, model in zip(cells, model_names(cells), strict=True):
        cell = result.cell
        for arm in result.arms:
            marks = list(_marks(result.rounds, arm.strategy).values())
            if arm.status != "ok" or not marks:
                continue
            shortest = min(map(len, marks))  # on a GPU a near tie may end a round early
            gaps_RN = np.diff(np.array([times[:shortest] for times in marks])[:, 1:], axis=1)
            low_N, middle_N, high_N = np.quantile(gaps_RN, [0.25, 0.5, 0.75], axis=0)
            steps = len(middle_N)
            formula = cell["formulas"].get(arm.strategy, {})
            frame = pd.DataFrame(
                {"k": range(1, steps + 1), "latency_s": middle_N, "latency_q25_s": low_N, "latency_q75_s": high_N}
            )
            # Of a contender no formula is known.
            frame["flops"] = formula["step_flops"][:steps] if formula else math.nan
            for part in ("weight", "self_kv", "cross_kv", "copy"):
                frame[f"{part}_bytes"] = formula[f"{part}_bytes"][:steps] if formula else math.nan
            for name in ("device", "dtype", "batch_size", "src_len", "tgt_len"):
                frame[name] = cell[name]
            frame["cell"], frame["model"], frame["strategy"] = result.id, model, arm.strategy
            frames.append(frame[STEP_COLUMNS])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=STEP_COLUMNS)


def write_tables(run_dir: Path, cells: Sequence[CellResult]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """table.csv and steps.csv (and .parquet where pyarrow is installed); returns both."""
    told: set[str] = set()

    def tell(cell_id: str, name: str, fault: Fault) -> None:
        if name in told:
            return
        told.add(name)
        kept = run_dir / "cells" / cell_id / f"traceback-metric-{slug(name)}.txt"
        with contextlib.suppress(OSError):  # a folder that may be read only
            write_text(kept, fault.traceback)
        print(f"decodebench: the metric {name} is empty where it fails: {fault.located}; see {kept}", file=sys.stderr)

    table, steps = case_table(cells, tell), step_table(cells)
    write_frame(run_dir, "table", table)
    write_frame(run_dir, "steps", steps)
    return table, steps


def read_tables(run_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables that ``write_tables`` wrote, equal to them. Raises ResultsError."""
    required = [*(name for name in IDENTITY if name not in ("linear", "weights", "execution")), *PLOTTED, *RATIOS]
    table = read_frame(run_dir / "table.csv", required, _columns())
    contenders = (table["status"] == "ok") & table["executed_flops"].isna()
    executions = table["strategy"].map(execution_in).mask(contenders, "")
    for name, value in (("weights", table["dtype"]), ("linear", "torch"), ("execution", executions)):
        if name not in table:  # of before it was written
            table.insert(IDENTITY.index(name), name, value)
    require_sound_table(run_dir / "table.csv", table)
    steps = read_frame(run_dir / "steps.csv", STEP_COLUMNS)
    require_same_cases(run_dir / "steps.csv", steps, table)
    return table, steps
