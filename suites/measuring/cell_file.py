"""cell.json as a cell is measured: written at once with what is known, and again with each thing that is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from strategies import ModelConfig

from ..machine.limits import Limit
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..store.cell_folder import CellWriter


class CellFile:
    """The file cell.json of one cell. What is written first stays in it."""

    def __init__(
        self,
        writer: CellWriter,
        cell: Cell,
        measure: MeasureConfig,
        arms: Sequence[str],
        contenders: Sequence[str],
        noted: Mapping[str, Any],
    ) -> None:
        """Write the file with what is to be measured. ``arms``: labels of all arms, ``contenders`` among them.

        ``noted``: further entries.
        """
        self._writer, self._cell = writer, cell
        self._entries: dict[str, Any] = {
            **noted,
            "measure": dataclasses.asdict(measure),
            "arms": list(arms),
            "contenders": list(contenders),
        }
        self.write(src_lens=[], formulas={})

    def begin(self, config: ModelConfig, memory: Limit) -> None:
        """Note what is known of the cell before anything is made."""
        self._entries |= {
            "model_config": dataclasses.asdict(config),
            "memory_bytes": memory.amount,
            "memory_bound_by": memory.bound_by,
        }

    def write(self, **found: Any) -> None:
        """Write the file with what has been found out."""
        self._entries |= found
        self._writer.cell({**dataclasses.asdict(self._cell), **self._entries})
