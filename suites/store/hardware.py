"""On which machine a cell was measured: the columns ``node``, ``cpu`` and ``gpu`` of the table of cases."""

from __future__ import annotations

from collections.abc import Sequence

from ..words.labels import plain
from .cell_folder import CellResult
from .environment_entries import EnvironmentEntry

HARDWARE = ["node", "cpu", "gpu"]
"""Columns that say where a case was timed: the machine's name, and its kind of CPU and GPU."""


def hardware_of(environment: EnvironmentEntry, device: str) -> dict[str, str]:
    """Name the node, the CPU and the GPU of a case by what its cell wrote down, each "" where that is not known.

    A case on the CPU has no GPU, whatever the machine has.
    """
    gpu = (environment.get("gpu") or {}) if device == "cuda" else {}
    names = environment.get("node"), environment.get("cpu"), gpu.get("name")
    return {column: plain(" ".join((name or "").split())) for column, name in zip(HARDWARE, names, strict=True)}


def hardware_of_cells(cells: Sequence[CellResult], run: EnvironmentEntry) -> list[dict[str, str]]:
    """Name the hardware of each cell.

    ``run`` is the run's own environment. It counts for cells that an earlier version measured, which wrote none.
    """
    old = all(cell.environment is None for cell in cells)
    return [
        hardware_of(cell.environment or (run if old or cell.rounds else {}), str(cell.cell.get("device")))
        for cell in cells
    ]
