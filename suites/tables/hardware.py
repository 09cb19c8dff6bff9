"""On which machine the cases of a cell were timed: the columns ``node``, ``cpu`` and ``gpu``."""

from __future__ import annotations

from collections.abc import Sequence

from ..store.cell_folder import CellResult
from ..store.entries import EnvironmentEntry
from ..words.labels import plain

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

    ``run`` is the run's own environment. It counts where no cell has one: an earlier version wrote the folder.
    """
    fallback: EnvironmentEntry = {} if any(cell.environment is not None for cell in cells) else run
    return [hardware_of(cell.environment or fallback, str(cell.cell.get("device"))) for cell in cells]
