"""Writing and reading ``table.csv`` and ``steps.csv`` of a run folder."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..settings.faults import Fault
from ..store.cell_folder import CellResult
from ..store.environment_entries import EnvironmentEntry
from ..store.files import write_text
from ..store.frame import read_frame, write_frame
from ..store.hardware import HARDWARE, hardware_of
from ..store.schema import read_environment
from ..words.slug import slug
from .case_table import case_table
from .columns import ADDED, IDENTITY, RATIOS, columns
from .executions import execution_in
from .soundness import require_same_cases, require_sound_table
from .step_table import STEP_COLUMNS, step_table

PLOTTED = [
    "prefill_s", "e2e_s", "throughput_tokens_per_s", "executed_flops", "necessary_flops", "flops_waste", "step_bytes",
    "kv_used_bytes", "kv_reserved_bytes", "peak_memory_bytes",
]  # fmt: skip


def write_tables(run_dir: Path, cells: Sequence[CellResult]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write table.csv and steps.csv, and .parquet files where pyarrow is installed; return both tables.

    Where a metric raises, it is left empty. The first failure of each metric is printed to standard error, and its
    traceback is kept in the cell's folder.
    """
    told: set[str] = set()

    def tell(cell_id: str, name: str, fault: Fault) -> None:
        if name in told:
            return
        told.add(name)
        kept = run_dir / "cells" / cell_id / f"traceback-metric-{slug(name)}.txt"
        with contextlib.suppress(OSError):  # the folder may be read-only
            write_text(kept, fault.traceback)
        print(f"decodebench: the metric {name} is empty where it fails: {fault.located}; see {kept}", file=sys.stderr)

    table, steps = case_table(cells, tell, read_environment(run_dir)), step_table(cells)
    write_frame(run_dir, "table", table)
    write_frame(run_dir, "steps", steps)
    return table, steps


def _hardware(run_dir: Path, table: pd.DataFrame) -> list[pd.Series]:
    """The columns ``HARDWARE`` of a table of a version that did not write them, by the run's environment.json."""
    environment: EnvironmentEntry = {} if {*HARDWARE} <= {*table} else read_environment(run_dir)
    named = {str(device): hardware_of(environment, str(device)) for device in table["device"].unique()}
    return [table["device"].map({device: names[column] for device, names in named.items()}) for column in HARDWARE]


def read_tables(run_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read table.csv and steps.csv. They equal the tables that ``write_tables`` returned.

    Raises ResultsError if a file is missing or damaged, or if the two tables disagree.
    """
    required = [*(name for name in IDENTITY if name not in ADDED), *PLOTTED, *RATIOS]
    table = read_frame(run_dir / "table.csv", required, columns())
    contenders = (table["status"] == "ok") & table["executed_flops"].isna()
    executions = table["strategy"].map(execution_in).mask(contenders, "")
    settings: tuple[Any, ...] = table["dtype"], "torch", "auto", "false", "greedy", 1, "", 0
    values = *settings, *_hardware(run_dir, table), executions, "", math.nan
    for name, value in zip(ADDED, values, strict=True):
        if name not in table:  # a table of a version that did not write this column
            table.insert(IDENTITY.index(name), name, value)
    require_sound_table(run_dir / "table.csv", table)
    steps = read_frame(run_dir / "steps.csv", STEP_COLUMNS)
    require_same_cases(run_dir / "steps.csv", steps, table)
    return table, steps
