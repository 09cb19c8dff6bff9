"""One run of a history: its date, its table, and the machine and software of a cell."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..store.cell_folder import read_cells
from ..store.environment_entries import EnvironmentEntry
from ..store.files import ResultsError, exists
from ..store.schema import SCHEMA, read_environment, read_run_entry
from ..tables.case_table import case_table
from ..tables.columns import completed
from ..tables.table_files import read_tables
from ..words.labels import is_file_name
from ..words.quantity import quantity

UNKNOWN = "hardware that is not known"


@dataclass(frozen=True)
class PastRun:
    """A run folder, when its run was started, its case table and its environment.

    ``is_old``: an earlier version wrote it, and does not say whether its cells were disturbed.
    """

    path: Path
    started: datetime.datetime
    table: pd.DataFrame
    environment: EnvironmentEntry
    is_old: bool


def read_past_run(path: Path) -> PastRun:
    """Read a run folder: table.csv, or the table made of its cells where it was not collected. Raises ResultsError."""
    entry = read_run_entry(path)
    started = _date(path, entry.get("started", ""))
    cells = [] if exists(path / "table.csv") else read_cells(path)
    if not cells and not exists(path / "table.csv"):
        raise ResultsError(f"{path} holds neither table.csv nor a measured cell; finish the run")
    table = case_table(cells) if cells else read_tables(path)[0]
    is_old = entry["schema"] < SCHEMA or "disturbed_by" not in table
    return PastRun(path, started, completed(table), read_environment(path), is_old)


def _date(path: Path, text: str) -> datetime.datetime:
    """The date of a run, in UTC, which a date without a zone is taken for."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or datetime.UTC).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise ResultsError(
            f"{path / 'run.json'} has no date in `started`, so the run has no place among the others"
        ) from None


def machine_of(run: PastRun, row: dict[str, Any]) -> dict[str, Any]:
    """What environment.json says of a case: that of its cell, which may have its own, over that of its run.

    The columns cpu and gpu of the case's row go before both, as they say on what the cell itself was measured. Raises
    ResultsError if the file of the cell is damaged.
    """
    found: dict[str, Any] = {**run.environment}
    if is_file_name(row["cell"]):
        found |= read_environment(run.path / "cells" / row["cell"])
    if named := _text(row.get("cpu")):
        found["cpu"] = named
    if named := _text(row.get("gpu")):
        known = found.get("gpu") or {}
        found["gpu"] = known if known.get("name") == named else {"name": named}
    return found


def hardware_of(row: dict[str, Any], machine: dict[str, Any]) -> str:
    """Name the hardware of a case, by which runs are grouped: processor, cores and, on CUDA, the GPU."""
    gpu = (machine.get("gpu") or {}) if row["device"] == "cuda" else {}
    if not machine.get("cpu") or (row["device"] == "cuda" and not gpu.get("name")):
        return UNKNOWN
    cpu = machine["cpu"] + (f" ({machine['cpu_capability']})" if machine.get("cpu_capability") else "")
    cpu += f", {machine['cores']} cores" if machine.get("cores") else ""
    if not gpu:
        return cpu
    memory = f" ({quantity(gpu['memory_bytes'], 'B')})" if gpu.get("memory_bytes") else ""
    return f"{gpu['name']}{memory} with {cpu}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
