"""The table of decode steps, ``steps.csv``: one row for each decode step of each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..store.cell_folder import CellResult
from ..store.records import Round
from .model_names import model_names

STEP_COLUMNS = [
    "cell", "model", "device", "dtype", "batch_size", "src_len", "tgt_len", "strategy", "k",
    "latency_s", "latency_q25_s", "latency_q75_s",
    "flops", "weight_bytes", "self_kv_bytes", "cross_kv_bytes", "copy_bytes",
]  # fmt: skip


WORK = {"flops": "step_flops", **{name: name for name in STEP_COLUMNS if name.endswith("_bytes")}}
"""Column of a step's work -> its name among the formulas."""


def marks_of(rounds: Sequence[Round], strategy: str) -> dict[int, list[float]]:
    """Map the index of each counted round of a strategy to its marks, for rounds with one mark per step."""
    return {r.index: r.marks_s for r in rounds if r.strategy == strategy and not r.warmup and r.every_step}


def step_table(cells: Sequence[CellResult]) -> pd.DataFrame:
    """Make the table with one row per decode step of each case.

    It has the quartiles of the step's latency over rounds, in seconds, and the step's FLOPs and bytes by formula, NaN
    for contenders. k counts keys, so it begins at P after a prefix of P tokens. The first step's latency is TTFT -
    prefill; the others are the gaps between tokens.
    """
    columns: dict[str, list[Any]] = {name: [] for name in STEP_COLUMNS}
    lengths = []
    for result, model in zip(cells, model_names(cells), strict=True):
        for arm in result.arms:
            marks = list(marks_of(result.rounds, arm.strategy).values())
            if arm.status != "ok" or not marks:
                continue
            steps = _steps(result.cell, arm.strategy, marks)
            lengths.append(len(steps["k"]))
            # Beside arrays with a value per step, these are the same for all steps of the case.
            case = {name: result.cell[name] for name in ("device", "dtype", "batch_size", "src_len", "tgt_len")}
            case |= {"cell": result.id, "model": model, "strategy": arm.strategy}
            for name, value in (steps | case).items():
                columns[name].append(value)
    if not lengths:
        return pd.DataFrame(columns=STEP_COLUMNS)
    whole = {
        name: np.concatenate(values) if isinstance(values[0], np.ndarray) else pd.Series(values).repeat(lengths).array
        for name, values in columns.items()
    }
    return pd.DataFrame(whole)


def _steps(cell: Mapping[str, Any], strategy: str, marks: Sequence[Sequence[float]]) -> dict[str, NDArray[Any]]:
    """The columns with a value for each step of a case, given the marks of its rounds."""
    shortest = min(map(len, marks))  # on a GPU a near tie of logits may end a round early
    gaps_RN = np.diff(np.array([times[:shortest] for times in marks])[:, 1:], axis=1)
    low_N, middle_N, high_N = np.quantile(gaps_RN, [0.25, 0.5, 0.75], axis=0)
    count, formula = len(middle_N), cell["formulas"].get(strategy, {})
    first = 1 + len(cell.get("model_config", {}).get("prefix_ids", ()))  # the k of the first step is P
    found = {"latency_s": middle_N, "latency_q25_s": low_N, "latency_q75_s": high_N}
    found["k"] = np.arange(first, first + count)
    for column, name in WORK.items():
        # There is no formula for the work of a contender.
        found[column] = np.array(formula[name][:count]) if formula else np.full(count, np.nan)
    return found
