"""Lines of the closing summary on cells that did not come to their end: interrupted, ended early, or still measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..machine.signals import CHECKPOINT, INTERRUPTED
from ..store.cell_folder import ENDED, RUNNING, CellResult
from ..words.quantity import counted
from .choices_told import case_told

REASONS = {INTERRUPTED, CHECKPOINT}
WORDS = {**dict.fromkeys(REASONS, INTERRUPTED), RUNNING: "still being measured", ENDED: "unfinished"}
"""What is said of a case instead of its status, "failed", by how its reason begins."""


def status_told(row: Mapping[Any, Any]) -> str:
    """The status of a row of the table in a word or two. A case whose cell was cut short did not fail."""
    if row["status"] != "failed":
        return str(row["status"])
    return next((word for start, word in WORDS.items() if row["reason"].startswith(start)), "failed")


def reason_told(row: Mapping[Any, Any]) -> str:
    """The status of a row and its reason, such as "failed: out of memory"; the reason alone where it says both."""
    word, reason = status_told(row), str(row["reason"])
    return reason if reason.startswith(word) else f"{word}: {reason}"


def is_told_by_cell(row: Mapping[Any, Any]) -> bool:
    """Whether a line on the cell as a whole tells of the row: it was interrupted, or is still being measured."""
    return status_told(row) in (INTERRUPTED, WORDS[RUNNING])


def running_told(count: int) -> list[str]:
    """Make one line on the cells that are still being measured, if there are any."""
    return [f"still being measured: {counted(count, 'cell')}"] * bool(count)


def missing_told(count: int) -> list[str]:
    """Make one line on the planned cells without any result, if there are any."""
    one = "1 planned cell has no result yet"
    return [one if count == 1 else f"{count} planned cells have no result yet"] * bool(count)


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
