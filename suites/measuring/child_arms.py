"""The protocol of arms that decode in processes of their own: what measuring needs; ``contenders`` implements it."""

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
from ..settings.inputs import Inputs, Source
from ..store.records import Status
from ..work.necessary import necessary
from .arms import Arm, StrategyArm

Tell = Callable[[str, Status, str], None]
"""Function that is given the label, status and reason of an arm that is not timed."""


class ChildArm(Arm, Protocol):
    """An arm whose process can be ended.

    ``loaded_rss_bytes`` is the resident memory of that process once it has loaded, ``peak_rss_bytes`` the most by the
    end of its last round; None where the system does not say.
    """

    loaded_rss_bytes: int | None
    peak_rss_bytes: int | None

    def close(self) -> None:
        """End the process of this arm."""


class ChildArms(Protocol):
    """The contenders of a run, and strategies of this project in a process like a contender's."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the contenders that the run asks for."""

    def weight_bytes(self, name: str) -> int | None:
        """Bytes per element of a contender's weights; None if they are of the cell's type."""

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
        """Context in which the contenders that may be timed in a cell are running; leaving it ends their processes."""

    def strategy(self, label: str, cell: Cell, config: ModelConfig, source: Source, seconds_max: float) -> ChildArm:
        """Start a strategy of this project, by its label, with a model and inputs of its own.

        Raises an error that says why it cannot start.
        """


def floors(children: ChildArms, config: ModelConfig, cell: Cell) -> dict[str, Any]:
    """Contender -> necessary FLOPs and bytes, which bound its time; its executed work is not known."""
    widths = {name: children.weight_bytes(name) for name in children.names}
    bounds = {width: dataclasses.asdict(necessary(config, cell, width)) for width in set(widths.values())}
    return {name: bounds[width] for name, width in widths.items()}
