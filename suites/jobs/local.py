"""The cells of a run, one after another, on this machine."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from ..machine.signals import stop_requested
from ..store.plan_entries import FrozenEntry
from ..words.progress import Progress
from .cells import Cells
from .measure_cell import measure_entry


def measure_here(run_dir: Path, entries: Sequence[FrozenEntry]) -> None:
    """Measure planned cells in their order, until a stop is asked for.

    Raises OSError where the run folder cannot be written, as measuring further cells is useless then.
    """
    work = sum(entry["predicted_work"] for entry in entries)
    with Progress(work, len(entries)) as progress, contextlib.closing(Cells()) as cells:
        measure_in_turn(run_dir, deque(entries), cells, progress)


def measure_in_turn(run_dir: Path, left: deque[FrozenEntry], cells: Cells, progress: Progress) -> None:
    """Take one cell after another from ``left`` and measure it, until none is left or a stop is asked for.

    Several threads may take cells from the same ``left``. Raises what ``measure_entry`` raises.
    """
    while not stop_requested() and (entry := _taken(left)) is not None:
        measure_entry(run_dir, entry, cells, progress)


def _taken(left: deque[FrozenEntry]) -> FrozenEntry | None:
    """Take the next cell; None where another thread took the last one."""
    try:
        return left.popleft()
    except IndexError:
        return None
