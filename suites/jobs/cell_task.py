"""What a job of Slurm runs: one cell, in whose middle the job may be told that its time is nearly over."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from ..machine.signals import CHECKPOINT, Stopped, handled, request_stop, stop_requested
from ..store.plan import planned_cell
from .dead import fail_at_time_limit
from .measure_cell import measure_cell

WARNING = signal.SIGUSR2
"""submitit's signal before the time limit, and before a job is preempted."""


class CellTask:
    """Measures a cell. submitit pickles it, and calls ``checkpoint`` for the task of a job that is begun anew.

    The warning ends the round in progress; then what submitit had done at once is done: the job is begun anew, or, if
    that has happened too often, the cell fails with this reason. SIGTERM ends the round, too. submitit would ignore it.
    """

    def __call__(self, run_dir: str, cell_id: str) -> None:
        """Measure the cell ``cell_id`` of a run folder."""
        requeue: Any = signal.getsignal(WARNING)
        with handled():
            signal.signal(WARNING, _warned)
            try:
                measure_cell(Path(run_dir), cell_id)
            except Stopped as stopped:
                if stopped.reason != CHECKPOINT:
                    raise
            finally:
                signal.signal(WARNING, signal.SIG_IGN)
            if stop_requested() == CHECKPOINT:
                _begin_anew(requeue, Path(run_dir), cell_id)

    def checkpoint(self, run_dir: str, cell_id: str) -> Any:
        """Return the task of the job that begins anew: the same."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, run_dir, cell_id)


def _warned(number: int, frame: FrameType | None) -> None:
    request_stop(CHECKPOINT, number)


def _begin_anew(requeue: Callable[[int, FrameType | None], None], run_dir: Path, cell_id: str) -> None:
    """Have submitit queue this job again, which ends this process; if it will not, the cell fails with its reason."""
    try:
        requeue(WARNING, None)
    except Exception as error:
        reason = f"its job reached the time limit: {error} Give cluster.minutes more"
        fail_at_time_limit(run_dir, planned_cell(run_dir, cell_id), reason)
        raise
