"""Resident memory (RSS) of a process that does nothing but load a model, prefill and decode with one strategy."""

from __future__ import annotations

from pathlib import Path

from strategies import ModelConfig

from ..settings.cells import Cell
from ..settings.inputs import Source
from ..timing.clock import clocks
from .child_arms import ChildArms

STATUS = Path("/proc/self/status")


def peak_rss_bytes(status: Path = STATUS) -> int | None:
    """The most resident memory that this process has had so far; None where the system does not say.

    What ``getrusage`` says instead is that of the parent, as long as the parent has had more.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def resident(
    label: str, cell: Cell, config: ModelConfig, source: Source, children: ChildArms, seconds_max: float
) -> dict[str, int | None]:
    """Decode one round of a cell by a strategy in a process of its own; return its fields of ``ArmResult``.

    Raises whatever keeps the process from starting or decoding.
    """
    arm = children.strategy(label, cell, config, source, seconds_max)
    try:
        arm.round(0, True, clocks(cell.device)[0])
        return {"loaded_rss_bytes": arm.loaded_rss_bytes, "decode_rss_bytes": arm.peak_rss_bytes}
    finally:
        arm.close()
