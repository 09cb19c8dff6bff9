"""The columns of ``table.csv``, and what cases have in common. ``docs/columns.md`` says what each means."""

from __future__ import annotations

import math

import pandas as pd

from ..ceilings.columns import CEILINGS
from ..metrics import metrics

IDENTITY = [
    "cell", "model", "device", "dtype", "weights", "linear", "threads", "batch_size", "src_len", "tgt_len", "stop",
    "seed", "real_fraction", "strategy", "execution", "status", "reason", "rounds", "max_logit_error", "tokens_equal",
]  # fmt: skip
GROUP = ["model", "device", "dtype", "weights", "linear", "threads", "stop", "seed"]
"""What cases have in common that belong on one plot and in one ranking."""
RATIOS = ["baseline", "e2e_ratio", "e2e_ratio_low", "e2e_ratio_high", "e2e_vs_best"]
CROSSOVER = ["crossover_k", "crossover_low_k", "crossover_high_k"]
"""First k from which on a case's cumulative time is less than the baseline's (``judging.crossover``); NaN: never."""
BEST = ["best_strategy", "best_ratio", "best_ratio_low", "best_ratio_high", "best_verdict"]
"""Time over that of the cell's quickest strategy, paired, and what it amounts to (``judging.baseline.compare``)."""
VERDICTS = ["e2e_p_holm", "e2e_beyond", "e2e_verdict"]
"""The p-value adjusted over the table, the share beyond which the ratio would be called faster or slower, and what it
amounts to (``judging.verdict``); "" where it was not timed."""
MEMORY = ["memory_bound_by"]
"""What sets the memory that forecasts are for (``machine.limits``), in words: the machine, a control group, a key."""
TRUST = [
    "stopped_by", "noise_floor", "noise_floor_low", "noise_floor_high", "crossed_floor", "crossed_floor_low",
    "crossed_floor_high",
    "calibration_read_gb_per_s", "calibration_gemm_gflops_per_s",
]  # fmt: skip
"""What ended the rounds of the cell; on the baseline's row the ratios of its A/A arms to it with 95 % intervals, of the
one in this process and of the one in a child process as contenders run; the machine's own speed, medians of the counted
calibrations, in 1e9 bytes and FLOPs a second."""
TEXT_COLUMNS = {*IDENTITY, "baseline", "e2e_verdict", "best_strategy", "best_verdict", "stopped_by", *MEMORY}


def columns() -> list[str]:
    """All of them, in their order; the metrics are those that are registered."""
    return [*IDENTITY, *metrics(), *RATIOS, *BEST, *VERDICTS, *CROSSOVER, *MEMORY, *TRUST, *CEILINGS]


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """A case table of an earlier version with the columns that it lacks, in which nothing is known."""
    missing = {name: "" if name in TEXT_COLUMNS else math.nan for name in columns() if name not in table}
    return table.assign(**missing)
