"""A strategy of this project in a contender's process. Its arm shows what running in another process changes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from strategies import parse

from ...measuring.arms import StrategyArm
from ...settings.cells import Cell
from ...settings.inputs import Source, make_inputs
from ..contender import Contender, Decoded

PREFIX = "strategy:"
"""Prefix of the name by which a process is asked for a strategy; no contender's name holds a colon."""


class Own(Contender):
    """The strategy with a given label. It uses the same kind of arm, model and inputs as the run's own process."""

    def __init__(self, label: str) -> None:
        self._label = label

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load the cell's model and make its inputs; ``checkpoint`` is not read. Raises StrategyError or ModelError."""
        from ...measuring.loaded import loaded

        strategy = parse(self._label)
        model, _ = loaded(cell, strategy.execution == "compiled")
        self._inputs = make_inputs(cell, model.config)
        self._arm = StrategyArm(strategy, model, self._inputs, cell)

    def round(self, source: Source, stop: Literal["fixed", "eos"]) -> Decoded:
        """Run the timed body of the run's own arms. The process around it sets the garbage collector aside."""
        self._arm.decode(self.clock)
        marks_s, found = self.clock.marks_s(), self._arm.found
        assert found is not None
        rows = zip(found.token_RN.tolist(), found.length_R.tolist(), strict=True)
        scores = None if found.score_R is None else found.score_R.tolist()
        return Decoded([row[:length] for row, length in rows], marks_s, self.clock.every_step, scores)
