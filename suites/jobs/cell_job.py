"""One cell and what is to be measured in it, frozen: another process measures the same from its line of JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from strategies import Strategy, parse

from ..contenders.running.child import cell_of
from ..contenders.running.lineup import Contenders
from ..measuring.runner import run_cell
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import Fault
from ..store.plan_entries import FrozenEntry
from ..words.progress import Progress


@dataclass(frozen=True)
class CellJob:
    """A cell, what is to be measured in it, and the folder to write it to (None: that of the cell's id)."""

    cell: Cell
    strategies: list[Strategy]
    contenders: list[str]
    measure: MeasureConfig
    run_dir: Path
    folder: Path | None = None
    isolate: str = "auto"
    is_spoken: bool = False

    def run(self, progress: Progress, faults: dict[str, Fault], noted: Mapping[str, Any] | None = None) -> None:
        """Measure the cell in this process. ``faults``, ``noted``, SpoiledError: as in ``run_cell``."""
        children, folder, spoken = Contenders(self.contenders), self.folder, self.is_spoken
        run_cell(
            self.cell, self.strategies, self.measure, self.run_dir, progress, children, faults, folder, noted, spoken
        )

    def to_json(self) -> str:
        """Write it as a line. Strategies go by their labels: another process finds them as this one did."""
        entries = dataclasses.asdict(dataclasses.replace(self, strategies=[]))
        labels = [strategy.label for strategy in self.strategies]
        folder = None if self.folder is None else str(self.folder.absolute())
        return json.dumps(entries | {"strategies": labels, "run_dir": str(self.run_dir.absolute()), "folder": folder})

    @classmethod
    def of_json(cls, line: str) -> Self:
        """Read what ``to_json`` wrote. Raises StrategyError for a strategy that this process does not find."""
        entries = json.loads(line)
        return cls.of_entry(entries, Path(entries["run_dir"]), entries["folder"] and Path(entries["folder"]))

    @classmethod
    def of_entry(cls, entry: FrozenEntry, run_dir: Path, folder: Path | None = None) -> Self:
        """Make the job of a planned cell. Raises StrategyError for a strategy that this process does not find."""
        return cls(
            cell_of({**entry["cell"]}),
            [parse(label) for label in entry["strategies"]],
            entry["contenders"],
            MeasureConfig(**entry["measure"]),
            run_dir,
            folder,
            entry.get("isolate", "auto"),
            entry.get("is_spoken", False),
        )
