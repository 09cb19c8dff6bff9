"""The table of decode steps, ``steps.csv``: one row for each decode step of each case."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..store.cell_folder import CellResult
from ..store.records import Round
from .model_names import model_names

STEP_COLUMNS = [
    "cell", "model", "device", "dtype", "batch_size", "src_len", "tgt_len", "strategy", "k",
    "latency_s", "latency_q25_s", "latency_q75_s",
    "flops", "weight_bytes", "self_kv_bytes", "cross_kv_bytes", "copy_bytes",
]  # fmt: skip


def marks_of(rounds: Sequence[Round], strategy: str) -> dict[int, list[float]]:
    """Map the index of each counted round of a strategy to its marks, for rounds with one mark per step."""
    return {r.index: r.marks_s for r in rounds if r.strategy == strategy and not r.warmup and r.every_step}


def step_table(cells: Sequence[CellResult]) -> pd.DataFrame:
    """Make the table with one row per decode step of each case.

    It has the quartiles of the step's latency over rounds, in seconds, and the step's FLOPs and bytes by formula, NaN
    for contenders. The first step's latency is TTFT - prefill; the others are the gaps between tokens.
    """
    frames = []
    for result, model in zip(cells, model_names(cells), strict=True):
        cell = result.cell
        for arm in result.arms:
            marks = list(marks_of(result.rounds, arm.strategy).values())
            if arm.status != "ok" or not marks:
                continue
            shortest = min(map(len, marks))  # on a GPU a near tie of logits may end a round early
            gaps_RN = np.diff(np.array([times[:shortest] for times in marks])[:, 1:], axis=1)
            low_N, middle_N, high_N = np.quantile(gaps_RN, [0.25, 0.5, 0.75], axis=0)
            steps = len(middle_N)
            formula = cell["formulas"].get(arm.strategy, {})
            frame = pd.DataFrame(
                {"k": range(1, steps + 1), "latency_s": middle_N, "latency_q25_s": low_N, "latency_q75_s": high_N}
            )
            # There is no formula for the work of a contender.
            frame["flops"] = formula["step_flops"][:steps] if formula else math.nan
            for part in ("weight", "self_kv", "cross_kv", "copy"):
                frame[f"{part}_bytes"] = formula[f"{part}_bytes"][:steps] if formula else math.nan
            for name in ("device", "dtype", "batch_size", "src_len", "tgt_len"):
                frame[name] = cell[name]
            frame["cell"], frame["model"], frame["strategy"] = result.id, model, arm.strategy
            frames.append(frame[STEP_COLUMNS])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=STEP_COLUMNS)
