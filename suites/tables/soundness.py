"""Checks that each table of a run folder, which somebody may have changed, is possible and agrees with the others."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from ..settings.config import EXECUTIONS
from ..store.files import ResultsError
from ..store.hardware import HARDWARE
from ..store.records import Status
from ..words.labels import is_file_name

CASE = ["cell", "strategy"]
SETTINGS = ["model", "device", "dtype", "batch_size", "src_len", "tgt_len"]
"""Columns of a cell that all tables of a folder have, with the same values."""
SHARED = [
    *SETTINGS,
    "weights",
    "linear",
    "attention",
    "tf32",
    "search",
    "num_beams",
    "first_sentence",
    "threads",
    "stop",
    "seed",
    *HARDWARE,
]
"""Columns that have the same value in all cases of a cell."""
POSITIVE = ["prefill_s", "e2e_s", "e2e_ratio", "e2e_ratio_low", "e2e_ratio_high"]
COUNTED = [
    "throughput_tokens_per_s", "executed_flops", "necessary_flops", "step_bytes", "kv_used_bytes", "kv_reserved_bytes",
    "peak_memory_bytes",
]  # fmt: skip
LEAST, LARGEST = 1e-30, 1e30


def require_sound_table(path: Path, table: pd.DataFrame) -> None:
    """Raise ResultsError for a table of cases that no run can have written."""
    statuses = get_args(Status)
    if (odd := next((word for word in table["status"].unique() if word not in statuses), None)) is not None:
        raise _refusal(path, f"has status={odd}; known: {', '.join(statuses)}")
    if (odd := next((text for text in table["cell"].unique() if not is_file_name(text)), None)) is not None:
        raise _refusal(path, f"has cell={odd[:60]!r}, which is not the name of a folder")
    known = "", *EXECUTIONS
    if (odd := next((word for word in table["execution"].unique() if word not in known), None)) is not None:
        raise _refusal(path, f"has execution={odd[:60]}; known: {', '.join(known[1:])}")
    if (table["strategy"] == "").any():
        raise _refusal(path, "has a case without a strategy")
    if table.duplicated(CASE).any():
        raise _refusal(path, "has a case twice")
    if len(table[["cell", *SHARED]].drop_duplicates()) != table["cell"].nunique():
        raise _refusal(path, "has one cell with two different settings")
    for names, least in ((POSITIVE, LEAST), (COUNTED, 0.0)):
        values = table[names].to_numpy(float)
        row, column = np.nonzero((values < least) | (values > LARGEST))
        if len(row):
            raise _refusal(path, f"has {names[column[0]]}={values[row[0], column[0]]:g}")
    _require_best(path, table)
    if not (named := set(table["baseline"])) <= {"", *table["strategy"]}:
        raise _refusal(path, f"has baseline={min(named - {'', *table['strategy']})[:60]}, which is no strategy of it")


def _require_best(path: Path, table: pd.DataFrame) -> None:
    """Raise ResultsError if a cell's quickest strategy was not timed in that cell, or if its rows disagree on it."""
    if "best_strategy" not in table:  # a table of an earlier version
        return
    timed = table[(table["status"] == "ok") & table["e2e_s"].notna()]
    if len(timed[["cell", "best_strategy"]].drop_duplicates()) != timed["cell"].nunique():
        raise _refusal(path, "names two strategies as the quickest of one cell")
    pairs = {*zip(timed["cell"], timed["strategy"], strict=True)}
    for cell, best in zip(timed["cell"], timed["best_strategy"], strict=True):
        if best and (cell, best) not in pairs:
            raise _refusal(path, f"has best_strategy={best[:60]}, which was not timed in its cell")


def require_same_cases(path: Path, found: pd.DataFrame, table: pd.DataFrame) -> None:
    """Raise ResultsError if ``found``, the table read from ``path``, has a case that was not measured.

    ``table``, the table of cases, says what was measured and with which settings. The same error is raised for a number
    that is negative or larger than any measurement.
    """
    columns = [*CASE, *SETTINGS]
    known = set(zip(*(table.loc[table["status"] == "ok", name] for name in columns), strict=True))
    # The rows of a case follow one another, so of a million rows few differ from the row before.
    distinct = found.loc[(found[columns] != found[columns].shift()).any(axis=1), columns]
    if not known.issuperset(zip(*(distinct[name] for name in columns), strict=True)):
        raise _refusal(path, "has a case that table.csv lacks, or that has other settings there")
    amounts = found.drop(columns=columns).select_dtypes("number").to_numpy(float)
    if ((amounts < 0) | (amounts > LARGEST)).any():
        raise _refusal(path, f"has a number below 0 or above {LARGEST:g}")


def _refusal(path: Path, what: str) -> ResultsError:
    return ResultsError(f"{path} {what}: the file is damaged or foreign; `plot --retable` makes it anew")
