"""One cell and what is to be measured in it, frozen: another process measures the same from its line of JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from strategies import Strategy, parse

from ..contenders.running.child import cell_of
from ..contenders.running.lineup import Contenders
from ..measuring.runner import run_cell
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import Fault
from ..words.progress import Progress


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
