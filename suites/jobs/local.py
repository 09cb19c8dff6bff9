"""The cells of a run, one after another, on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from ..machine.signals import stop_requested
from ..store.entries import FrozenEntry
from ..words.progress import Progress
from .cells import Cells
from .measure_cell import measure_entry


def measure_here(run_dir: Path, entries: Sequence[FrozenEntry]) -> None:
    """Measure planned cells in their order, until a stop is asked for.

    Raises OSError where the run folder cannot be written, as measuring further cells is useless then.
    """
    work = sum(entry["predicted_work"] for entry in entries)
    with Progress(work, len(entries)) as progress, contextlib.closing(Cells()) as cells:
        for entry in entries:
            if stop_requested():
                return
            measure_entry(run_dir, entry, cells, progress)
