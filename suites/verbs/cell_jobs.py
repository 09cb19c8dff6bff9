"""One cell after another: in this process until an arm spoils CUDA for it, and then in fresh processes."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from strategies import Strategy, parse

from ..contenders.running.child import cell_of
from ..contenders.running.lineup import Contenders
from ..machine.child_process import ChildProcess
from ..measuring.runner import run_cell
from ..measuring.spoiled import is_spoiled
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import Fault, SpoiledError
from ..words.progress import Progress

INTERRUPTED_S = 5.0
"""Seconds that a fresh process may take to write what is finished after an interrupt."""


@dataclass(frozen=True)
class CellJob:
    """A cell, and what is to be measured in it."""

    cell: Cell
    strategies: list[Strategy]
    contenders: list[str]
    measure: MeasureConfig
    run_dir: Path

    def run(self, progress: Progress, faults: dict[str, Fault]) -> None:
        """Measure the cell in this process. ``faults``, SpoiledError: as in ``run_cell``."""
        children = Contenders(self.contenders)
        run_cell(self.cell, self.strategies, self.measure, self.run_dir, progress, children, faults)

    def to_json(self) -> str:
        """Write it as a line. Strategies go by their labels: another process finds them as this one did."""
        entries = dataclasses.asdict(dataclasses.replace(self, strategies=[]))
        labels = [strategy.label for strategy in self.strategies]
        return json.dumps(entries | {"strategies": labels, "run_dir": str(self.run_dir.absolute())})

    @classmethod
    def of_json(cls, line: str) -> Self:
        """Read what ``to_json`` wrote. Raises StrategyError for a strategy that this process does not find."""
        entries = json.loads(line)
        return cls(
            cell_of(entries["cell"]),
            [parse(label) for label in entries["strategies"]],
            entries["contenders"],
            MeasureConfig(**entries["measure"]),
            Path(entries["run_dir"]),
        )


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
                    case _:
                        return
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
