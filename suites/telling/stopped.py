"""Lines of the closing summary on cells whose rounds a request to stop has ended."""

from __future__ import annotations

from collections.abc import Sequence

from ..machine.signals import CHECKPOINT, INTERRUPTED
from ..store.cell_folder import CellResult
from .choices_told import case_told

REASONS = {INTERRUPTED, CHECKPOINT}


def stopped_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line per cell that was interrupted: after how many counted rounds of how many."""
    return [
        f"interrupted: {case_told(done)} after {_rounds(done)} of {_planned(done)} rounds"
        for done in cells
        if _is_stopped(done)
    ]


def _is_stopped(done: CellResult) -> bool:
    by_request = done.conditions is not None and done.conditions.stopped_by in REASONS
    return by_request or any(arm.reason in REASONS for arm in done.arms)


def _rounds(done: CellResult) -> int:
    """Number of counted rounds that all arms have behind them which were not lost for another reason."""
    arms = [arm.strategy for arm in done.arms if arm.status == "ok" or arm.reason in REASONS]
    counted = ({one.index for one in done.rounds if one.strategy == label and not one.warmup} for label in arms)
    return min(map(len, counted), default=0)


def _planned(done: CellResult) -> str:
    measure = done.cell.get("measure", {})  # some versions wrote less of it
    most = f" to {measure.get('rounds_max', '')}" if measure.get("precision") is not None else ""
    return f"{measure.get('rounds', 'its')}{most}"
