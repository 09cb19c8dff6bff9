"""Measures one planned cell of a run folder. It is all that a job of a batch system does."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from ..store.cell_state import state_of
from ..store.files import write_text
from ..store.locks import BusyError
from ..store.plan import planned_cell
from ..store.plan_entries import FrozenEntry
from ..words.progress import Progress
from .attempt import attempt
from .cell_job import CellJob
from .cells import Cells


def measure_cell(run_dir: Path, cell_id: str) -> None:
    """Measure a cell of the plan with a progress line of its own, unless another process has done so meanwhile.

    Raises ResultsError if the plan lacks the cell, and as ``measure_entry`` does.
    """
    entry = planned_cell(run_dir, cell_id)
    with Progress(entry["predicted_work"], 1) as progress, contextlib.closing(Cells()) as cells:
        measure_entry(run_dir, entry, cells, progress)


def measure_entry(run_dir: Path, entry: FrozenEntry, cells: Cells, progress: Progress) -> None:
    """Measure a planned cell, unless all of it is measured, and write it to its folder.

    One that another process measures is left alone, which a line on standard error says. Raises StrategyError for a
    strategy that this process does not find, and OSError where the run folder cannot be written.
    """
    try:
        with attempt(run_dir, entry) as folder:
            state = state_of(run_dir, entry)
            if state.status == "done" and not state.lacked:
                progress.leave_out(entry["predicted_work"])
                return
            cells.run(CellJob.of_entry(entry, run_dir, folder), progress)
            write_text(folder / "config.yaml", entry["config"])
    except BusyError as busy:
        progress.leave_out(entry["predicted_work"])
        print(f"left alone: {busy}", file=sys.stderr, flush=True)
