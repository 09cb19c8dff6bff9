"""Whether the tables of a run folder, which others may have changed, agree with themselves and with one another."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pandas as pd

from .files import ResultsError
from .labels import is_file_name
from .records import Status

CASE = ["cell", "strategy"]
SETTINGS = ["model", "device", "dtype", "batch_size", "src_len", "tgt_len"]
"""What the tables of a folder tell of a cell alike."""
SHARED = [*SETTINGS, "weights", "linear", "threads", "stop", "seed"]
"""What all cases of a cell have in common."""
POSITIVE = ["prefill_s", "e2e_s", "throughput_tokens_per_s", "e2e_ratio", "e2e_ratio_low", "e2e_ratio_high"]
COUNTED = [
    "executed_flops", "necessary_flops", "step_bytes", "kv_used_bytes", "kv_reserved_bytes", "peak_memory_bytes",
]  # fmt: skip
LARGEST = 1e30


def require_sound_table(path: Path, table: pd.DataFrame) -> None:
    """Raise ResultsError for a case table that no run can have made."""
    statuses = get_args(Status)
    if (odd := next((word for word in table["status"].unique() if word not in statuses), None)) is not None:
        raise _refusal(path, f"has status={odd}; known: {', '.join(statuses)}")
    if (odd := next((text for text in table["cell"].unique() if not is_file_name(text)), None)) is not None:
        raise _refusal(path, f"has cell={odd[:60]!r}, which is not the name of a folder")
    if (table["strategy"] == "").any():
        raise _refusal(path, "has a case without a strategy")
    if table.duplicated(CASE).any():
        raise _refusal(path, "has a case twice")
    if len(table[["cell", *SHARED]].drop_duplicates()) != table["cell"].nunique():
        raise _refusal(path, "tells one cell's settings in two ways")
    for name in (*POSITIVE, *COUNTED):
        wrong = table[name] <= 0 if name in POSITIVE else table[name] < 0
        if (wrong | (table[name] > LARGEST)).any():
            raise _refusal(path, f"has {name}={table.loc[wrong | (table[name] > LARGEST), name].iloc[0]:g}")
    if not (named := set(table["baseline"])) <= {"", *table["strategy"]}:
        raise _refusal(path, f"has baseline={min(named - {'', *table['strategy']})[:60]}, of which it has no case")


def require_same_cases(path: Path, found: pd.DataFrame, table: pd.DataFrame) -> None:
    """Raise ResultsError where ``found``, the table of ``path``, speaks of what the case table has not measured."""
    columns = [*CASE, *SETTINGS]
    told = found[columns].drop_duplicates()
    known = table.loc[table["status"] == "ok", columns]
    if len(told.merge(known, on=columns)) != len(told):
        raise _refusal(path, "has cases that table.csv has not, or tells otherwise")
    for name in found.columns.difference(columns):
        if pd.api.types.is_numeric_dtype(found[name]) and ((found[name] < 0) | (found[name] > LARGEST)).any():
            raise _refusal(path, f"has {name} below 0, or beyond every measure")


def _refusal(path: Path, what: str) -> ResultsError:
    return ResultsError(f"{path} {what}: the file is damaged or foreign; `plot --retable` makes it anew")
