"""One cell after another, in this process or in processes of their own; an arm that ends one is a failed row."""

from __future__ import annotations

import sys

from ..measuring.spoiled import is_spoiled
from ..settings.faults import Fault, SpoiledError
from ..store.cell_folder import cell_folder
from ..store.files import exists, read_json, write_json
from ..words.progress import Progress
from .apart import Apart, LostError
from .cell_job import CellJob
from .isolation import ON_DEVICE, SPOILED, why_apart


class Cells:
    """Measures one cell after another; each in a process of its own where isolation or spoiled CUDA asks for it."""

    def __init__(self, **environment: str) -> None:
        """``environment`` is added to that of the processes; where there is any, each cell has one of its own."""
        self._apart, self._others = Apart(**environment), bool(environment)

    def run(self, job: CellJob, progress: Progress) -> None:
        """Measure a cell. An arm that ends its process, or spoils CUDA for it, is a failed row.

        The other arms then begin anew in another process. Each measures at least one arm less than the process before,
        so this ends. Raises OSError where the run folder cannot be written.
        """
        faults: dict[str, Fault] = {}
        labels = [*(strategy.label for strategy in job.strategies), *job.contenders]
        why = why_apart(job) or (ON_DEVICE if self._others else "")
        while True:
            why = why or (SPOILED if is_spoiled() else "")
            try:
                if why:
                    self._apart.run(job, progress, faults, why)
                else:
                    job.run(progress, faults)
                return
            except SpoiledError as spoiled:
                reason = spoiled.fault.reason.rpartition("CUDA error: ")[2]
                _tell(f"{spoiled.label or 'an error'} spoiled CUDA for this process ({reason})")
                if not spoiled.left:
                    return
                faults[spoiled.label] = spoiled.fault
                progress.again()
            except LostError as lost:
                known = lost.label not in ("", *faults)
                faults |= {lost.label: lost.fault} if known else dict.fromkeys(labels, lost.fault) | faults
                if faults.keys() >= {*labels}:
                    self._write_lost(job, progress, faults, why)
                    return
                _tell(f"{lost.label}: {lost.fault.reason}")
                if lost.begun:
                    progress.again()

    def _write_lost(self, job: CellJob, progress: Progress, faults: dict[str, Fault], why: str) -> None:
        """Write the rows of a cell whose arms are all lost, here. Where that was is what its processes have written."""
        path = (job.folder or cell_folder(job.run_dir, job.cell.id)) / "environment.json"
        written = read_json(path) if exists(path) else None
        job.run(progress, faults, {"isolated": {"why": why, "begun_s": self._apart.waited_s(job)}})
        if written is not None:
            write_json(path, written)

    def hurry(self) -> None:
        """Have a process that measures stop now, and start no more: ``run`` raises. For another thread."""
        self._apart.hurry()

    def kill(self) -> None:
        """Kill the processes that measure. For another thread."""
        self._apart.kill()

    def close(self) -> None:
        """End the process from which others are forked, if there is one."""
        self._apart.close()


def _tell(what: str) -> None:
    print(f"{what}; what is left goes on in a fresh one", file=sys.stderr, flush=True)
