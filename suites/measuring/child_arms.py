"""Arms that decode in processes of their own, as measuring asks for them; ``contenders`` makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from strategies import ModelConfig
from strategies.models.encoder_decoder import EncoderDecoder

from ..settings.cells import Cell
from ..settings.faults import Fault
from ..settings.inputs import Inputs
from ..store.records import Status
from ..work.formulas import necessary
from .arms import Arm, StrategyArm

Tell = Callable[[str, Status, str], None]
"""Label, status and reason of an arm that is not timed."""


class ChildArm(Arm, Protocol):
    """An arm whose process can be ended."""

    def close(self) -> None:
        """End its process."""


class ChildArms(Protocol):
    """The contenders of a run, and strategies of ours in a process like theirs."""

    @property
    def names(self) -> Sequence[str]:
        """The contenders that were asked for."""

    def weight_bytes(self, name: str) -> int | None:
        """Bytes of an element of a contender's weights; None: those of the cell's type."""

    def line_up(
        self,
        cell: Cell,
        model: EncoderDecoder,
        inputs: Inputs,
        seconds_max: float,
        oracle: Callable[[], StrategyArm],
        tell: Tell,
        run_dir: Path,
        kept: Callable[[str, Fault], str],
    ) -> AbstractContextManager[Sequence[Arm]]:
        """Inside, the contenders that may be timed in a cell; their processes are ended on leaving."""

    def strategy(
        self, label: str, cell: Cell, config: ModelConfig, src_ids: Sequence[Sequence[int]], seconds_max: float
    ) -> ChildArm:
        """A strategy of ours, by its label, with model and inputs of its own. Raises what says why it cannot start."""


def floors(children: ChildArms, config: ModelConfig, cell: Cell) -> dict[str, Any]:
    """Contender -> the necessary FLOPs and bytes, which bound it: of its own work nothing is known."""
    widths = {name: children.weight_bytes(name) for name in children.names}
    bounds = {width: dataclasses.asdict(necessary(config, cell, width)) for width in set(widths.values())}
    return {name: bounds[width] for name, width in widths.items()}
