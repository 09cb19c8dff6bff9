"""The columns of ``table.csv``, in groups. ``docs/columns.md`` says what each column means."""

from __future__ import annotations

import math

import pandas as pd

from ..ceilings.columns import CEILINGS
from ..metrics import metrics
from ..store.hardware import HARDWARE

IDENTITY = [
    "cell", "model", "device", "dtype", "weights", "linear", "attention", "tf32", "search", "threads", "batch_size",
    "num_beams", "source", "first_sentence", "src_len", "tgt_len", "stop", "seed", "real_fraction", *HARDWARE,
    "strategy", "execution", "attention_ran", "status", "reason", "rounds", "max_logit_error", "fp32_error_ratio",
    "tokens_equal",
]  # fmt: skip
ADDED = [
    "weights", "linear", "attention", "tf32", "search", "num_beams", "source", "first_sentence", *HARDWARE, "execution",
    "attention_ran", "fp32_error_ratio",
]  # fmt: skip
"""Columns of ``IDENTITY`` that tables of earlier versions may lack, in its order."""
SPEED = ["e2e_ratio", "e2e_s"]
"""Columns by which the cases of a cell are sorted, the quickest first: by the paired ratio, as verdicts are, and by the
median time where ratios are equal or not known."""
SIZES = ["batch_size", "num_beams", "first_sentence", "src_len", "tgt_len"]
"""Columns by which the cases of one plot or ranking are told apart, besides their strategies, in the order of rows."""
SETTINGS = ["model", "device", "dtype", "weights", "linear", "attention", "tf32", "search", "threads", "stop", "seed"]
KINDS = ["cpu", "gpu"]
"""Columns of the kind of hardware. Nodes of one kind are put side by side."""
GROUP = [*SETTINGS, *KINDS]
"""Columns that have equal values in all cases of one plot and of one ranking (``tables.groups``)."""
RATIOS = ["baseline", "e2e_ratio", "e2e_ratio_low", "e2e_ratio_high", "e2e_vs_best"]
CROSSOVER = ["crossover_k", "crossover_low_k", "crossover_high_k"]
"""First k from which on a case's cumulative time is less than the baseline's, with its 95 % interval; NaN means never
(``judging.crossover``)."""
BEST = ["best_strategy", "best_ratio", "best_ratio_low", "best_ratio_high", "best_verdict"]
"""The cell's quickest exact strategy, and the case's ratio to it, paired within rounds, with its 95 % interval and
verdict (``judging.baseline.compare``)."""
VERDICTS = [
    "e2e_p_holm",
    "e2e_beyond",
    "e2e_verdict",
    "e2e_holm_low",
    "e2e_holm_high",
    "best_holm_low",
    "best_holm_high",
]
"""The p-value adjusted over the table, the share by which the ratio must differ from 1 to be called faster or slower,
the verdict (``judging.verdict``), which is "" where the case was not timed, and the intervals of ``e2e_ratio`` and
``best_ratio`` at the levels at which Holm's procedure tested them."""
MEMORY = ["memory_bound_by"]
"""What limits the memory in forecasts (``machine.limits``), in words: the machine, a control group, or a key."""
QUALITY = [
    "exact", "choices", "kl_nats", "kl_max_nats", "top1_equal", "sequences_equal", "token_error", "phoneme_error",
    "phoneme_error_words",
]  # fmt: skip
"""How good the output is.

``exact`` is 1 for a strategy that declares full recompute's logits, 0 for an approximate one, and NaN for contenders
and in tables of earlier versions. Then come what an approximate strategy loses, with the number of choices that this
was measured on (``measuring.quality``), and the phoneme error with its number of words, which is the same for all exact
strategies of a cell (``measuring.spoken``)."""
TRUST = [
    "stopped_by", "noise_floor", "noise_floor_low", "noise_floor_high", "crossed_floor", "crossed_floor_low",
    "crossed_floor_high", "disturbed_by",
    "calibration_read_gb_per_s", "calibration_gemm_gflops_per_s",
]  # fmt: skip
"""How far the times of a cell can be trusted.

``stopped_by`` is what ended its rounds. The floors are the ratios of A/A arms to the baseline, with 95 % intervals, on
the baseline's row alone: ``noise_floor`` of the arm in this process, ``crossed_floor`` of the arm in a child process,
such as contenders run in. ``disturbed_by`` names the kinds of noise that may have spoiled the cell's times
(``judging.disturbed``), with commas between them. The calibrations are the machine's own speed, medians over the
counted ones, in 1e9 bytes per second and 1e9 FLOPs per second."""
TEXT_COLUMNS = {*IDENTITY, "baseline", "e2e_verdict", "best_strategy", "best_verdict", "stopped_by", *MEMORY,
                "disturbed_by"}  # fmt: skip


def columns() -> list[str]:
    """Names of all columns, in their order. The metrics among them are those that are registered at this moment."""
    return [*IDENTITY, *metrics(), *RATIOS, *BEST, *VERDICTS, *CROSSOVER, *QUALITY, *MEMORY, *TRUST, *CEILINGS]


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """Add to a table of an earlier version the columns that it lacks, with NaN or "" for the unknown values."""
    missing = {name: "" if name in TEXT_COLUMNS else math.nan for name in columns() if name not in table}
    return table.assign(**missing)
