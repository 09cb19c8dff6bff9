"""One cell after another: in this process until an arm spoils CUDA for it, and then in fresh processes."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys

from ..machine.child_process import ChildProcess
from ..machine.signals import Stopped, finished_first, stop_if_requested
from ..measuring.spoiled import is_spoiled
from ..settings.faults import Fault, SpoiledError
from ..words.progress import Progress
from .cell_job import CellJob

INTERRUPTED_S = 5.0
"""Seconds that a fresh process may take to write what is finished after an interrupt."""


class Cells:
    """Measures one cell after another, in a fresh process once an arm has spoiled CUDA for this one."""

    def __init__(self) -> None:
        self._fresh: ChildProcess | None = None

    def run(self, job: CellJob, progress: Progress) -> None:
        """Measure a cell; an arm that spoils CUDA is a failed row, and the others begin anew in a fresh process.

        Of the arms of a cell, each fresh process measures at least one less than the process before, so this ends.
        Raises OSError where the run folder cannot be written.
        """
        faults: dict[str, Fault] = {}
        while True:
            try:
                if self._fresh is None and not is_spoiled():
                    job.run(progress, faults)
                else:
                    self._run_elsewhere(job, progress, faults)
                return
            except SpoiledError as spoiled:
                self.close()
                who, why = spoiled.label or "an error", spoiled.fault.reason.rpartition("CUDA error: ")[2]
                line = f"{who} spoiled CUDA for this process ({why}); what is left goes on in a fresh one"
                print(line, file=sys.stderr, flush=True)
                if not spoiled.left:
                    return
                faults[spoiled.label] = spoiled.fault
                progress.again()

    def _run_elsewhere(self, job: CellJob, progress: Progress, faults: dict[str, Fault]) -> None:
        """Measure a cell in the fresh process. If that dies, the arms that it was to measure are failed rows."""
        child = self._fresh = self._fresh or ChildProcess(f"{__package__}.fresh_child")
        try:
            with finished_first(child.signal):
                child.write(job.to_json())
                child.write(json.dumps({label: dataclasses.asdict(fault) for label, fault in faults.items()}))
                while line := child.read():
                    match json.loads(line):
                        case {"progress": [method, *arguments]}:
                            getattr(progress, method)(*arguments)
                        case {"spoiled": [label, fault, left]}:
                            raise SpoiledError(label, Fault(**fault), left)
                        case {"refused": [number, reason, file]}:
                            raise OSError(number, reason, file)
                        case {"stopped": reason}:
                            stop_if_requested()
                            raise Stopped(reason, signal.SIGINT)
                        case _:
                            return
                stop_if_requested()
        except KeyboardInterrupt:
            child.interrupt(INTERRUPTED_S)
            self.close()
            raise
        fault = Fault(*child.ended())
        self.close()
        labels = [*(strategy.label for strategy in job.strategies), *job.contenders]
        job.run(progress, dict.fromkeys(labels, fault) | faults)

    def close(self) -> None:
        """End the fresh process, if there is one."""
        if self._fresh is not None:
            self._fresh.close()
            self._fresh = None
