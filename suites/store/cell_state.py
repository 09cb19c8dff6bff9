"""What of a planned cell is measured: read from its folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..machine.signals import CHECKPOINT, INTERRUPTED
from .cell_folder import cell_folder
from .entries import FrozenEntry, TryEntry
from .files import ResultsError, exists, read_json
from .plan import labels_of
from .records import ArmResult, Conditions
from .schema import parsed_file

ENDED = 2
TRIES_MAX = 2
"""Tries at a cell after which arms that failed stay failed."""


@dataclass(frozen=True)
class CellState:
    """State of a planned cell.

    ``status``: "done" where every planned arm is ok, invalid or skipped; "failed" where one failed; "missing" where the
    cell was never begun, or was interrupted, or its process ended, or its folder holds something else than the plan.
    ``tries`` counts the times that it was begun, without those that were interrupted.
    """

    status: Literal["done", "failed", "missing"]
    tries: int = 0

    def is_left(self, retry_failed: bool = False) -> bool:
        """Whether a resumed run measures the cell: it is missing, or it failed fewer than ``TRIES_MAX`` times."""
        return self.status == "missing" or (self.status == "failed" and (retry_failed or self.tries < TRIES_MAX))


def state_of(run_dir: Path, entry: FrozenEntry) -> CellState:
    """Return the state of a planned cell. A damaged file makes the cell "missing", so that it is measured anew."""
    folder = cell_folder(run_dir, entry["id"])
    tries = tries_of(folder)
    try:
        if not exists(folder / "arms.json") or not _is_planned(read_json(folder / "cell.json"), entry):
            return CellState("missing", tries)
        arms: list[ArmResult] = parsed_file(list[ArmResult], folder / "arms.json")
        if {arm.strategy for arm in arms} != set(labels_of(entry)) or _is_cut_short(folder, arms):
            return CellState("missing", tries)
    except ResultsError:
        return CellState("missing", tries)
    return CellState("failed" if any(arm.status == "failed" for arm in arms) else "done", tries)


def tries_of(folder: Path) -> int:
    """How many times the cell in a folder was begun; 1 in a folder of an earlier version, 0 in none."""
    if not exists(folder / "try.json"):
        return int(exists(folder / "cell.json"))
    try:
        entry: TryEntry = parsed_file(TryEntry, folder / "try.json")
        return entry["number"]
    except ResultsError:
        return 1


def worth(folder: Path) -> tuple[int, int]:
    """How much a cell's folder holds, to compare two tries: (how far it came, number of arms that did not fail).

    The first is 0 where there are no results, 1 where the rounds were cut short, and ``ENDED`` where the cell came to
    its end.
    """
    try:
        arms: list[ArmResult] = parsed_file(list[ArmResult], folder / "arms.json")
        return (1 if _is_cut_short(folder, arms) else ENDED), sum(arm.status != "failed" for arm in arms)
    except ResultsError:
        return 0, 0


def _is_planned(cell: dict[str, Any], entry: FrozenEntry) -> bool:
    """Whether cell.json is of the cell that is planned, measured as planned."""
    measure = cell.get("measure", {})  # a later version may have more keys
    return all(cell.get(name) == value for name, value in entry["cell"].items()) and all(
        measure.get(name) == value for name, value in entry["measure"].items()
    )


def _is_cut_short(folder: Path, arms: list[ArmResult]) -> bool:
    """Whether a request to stop has ended the cell."""
    if any(arm.status == "failed" and arm.reason in (INTERRUPTED, CHECKPOINT) for arm in arms):
        return True
    path = folder / "conditions.json"
    if not exists(path):
        return False
    conditions: Conditions = parsed_file(Conditions, path)
    return conditions.stopped_by in (INTERRUPTED, CHECKPOINT)
