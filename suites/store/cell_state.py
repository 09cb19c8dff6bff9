"""What of a planned cell is measured: read from its folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..machine.signals import CHECKPOINT, INTERRUPTED
from ..settings.config import NO_CUDA
from .cell_folder import cell_folder
from .files import ResultsError, listed, read_json
from .plan import labels_of
from .plan_entries import FrozenEntry, TryEntry
from .records import ArmResult, Conditions
from .schema import parsed_file, read_environment

TRIES_MAX = 2
"""Tries at a cell after which what failed stays failed."""


@dataclass(frozen=True)
class CellState:
    """State of a planned cell.

    ``status``: "done" where every planned arm is ok, invalid or skipped; "failed" where one failed; "missing" where the
    cell was never begun, or was interrupted, or its process ended, or its folder holds something else than the plan.
    ``tries`` counts the tries that came to their end, ``reason`` says how the last one ended where the folder holds
    what an earlier one measured. ``begun``: its folder holds something. ``lacked``: it was skipped for want of a CUDA
    device.
    """

    status: Literal["done", "failed", "missing"]
    tries: int = 0
    reason: str = ""
    begun: bool = False
    lacked: bool = False

    def is_left(self, retry_failed: bool = False, has_cuda: bool = False) -> bool:
        """Whether a resumed run measures the cell.

        It does so if the cell is missing or failed, and was tried fewer than ``TRIES_MAX`` times. ``has_cuda``: a cell
        that lacked a CUDA device counts as missing.
        """
        if self.status == "done" and not (self.lacked and has_cuda):
            return False
        return retry_failed or self.tries < TRIES_MAX


def state_of(run_dir: Path, entry: FrozenEntry) -> CellState:
    """Return the state of a planned cell. A damaged file makes the cell "missing", so that it is measured anew."""
    folder = cell_folder(run_dir, entry["id"])
    files = listed(folder)
    tried = try_of(folder)
    missing = CellState("missing", tried["number"], tried.get("reason", ""), begun=bool(files))
    try:
        if not files >= {"cell.json", "arms.json", "rounds.jsonl"}:
            return missing
        if not _is_planned(read_json(folder / "cell.json"), entry):
            return missing
        arms: list[ArmResult] = parsed_file(list[ArmResult], folder / "arms.json")
        if {arm.strategy for arm in arms} != set(labels_of(entry)) or _is_cut_short(folder, arms):
            return missing
        read_environment(folder)  # it must be readable, as the table needs it
    except ResultsError:
        return missing
    lacked = all(arm.status == "skipped" and arm.reason.startswith(NO_CUDA) for arm in arms)
    failed = any(arm.status == "failed" for arm in arms)
    return CellState("failed" if failed else "done", missing.tries, missing.reason, begun=True, lacked=lacked)


def try_of(folder: Path) -> TryEntry:
    """What is known of the tries at the cell in a folder; one try where an earlier version has measured it."""
    files = listed(folder)
    try:
        if "try.json" in files:
            entry: TryEntry = parsed_file(TryEntry, folder / "try.json")
            return entry
    except ResultsError:
        pass
    return {"number": int("arms.json" in files)}


@dataclass(frozen=True)
class Outcome:
    """What a try at a cell came to: number of arms that are ok, whether no request to stop cut it short, and the first
    reason for which another arm is not ok.
    """

    ok: int = -1
    ended: bool = False
    reason: str = ""

    def replaces(self, older: Outcome) -> bool:
        """Whether nothing that the older try has measured is lost if this one takes its place."""
        return self.ok >= older.ok and self.ended >= older.ended


def outcome_of(folder: Path) -> Outcome:
    """Read what the try in a folder came to. One without results, or with damaged ones, may always be replaced."""
    if "arms.json" not in listed(folder):
        return Outcome()
    try:
        arms: list[ArmResult] = parsed_file(list[ArmResult], folder / "arms.json")
        ended = not _is_cut_short(folder, arms)
    except ResultsError:
        return Outcome()
    others = [f"{arm.strategy}: {arm.reason}" for arm in arms if arm.status in ("failed", "invalid")]
    return Outcome(sum(arm.status == "ok" for arm in arms), ended, next(iter(others), ""))


def _is_planned(cell: dict[str, Any], entry: FrozenEntry) -> bool:
    """Whether cell.json is of the cell that is planned, measured as planned."""
    cell = {"search": {"kind": "greedy"}, **cell}  # which earlier versions did not write
    measure = cell.get("measure", {})  # a later version may have more keys
    return all(cell.get(name) == value for name, value in entry["cell"].items()) and all(
        measure.get(name) == value for name, value in entry["measure"].items()
    )


def _is_cut_short(folder: Path, arms: list[ArmResult]) -> bool:
    """Whether a request to stop has ended the cell."""
    if any(arm.status == "failed" and arm.reason in (INTERRUPTED, CHECKPOINT) for arm in arms):
        return True
    if "conditions.json" not in listed(folder):
        return False
    conditions: Conditions = parsed_file(Conditions, folder / "conditions.json")
    return conditions.stopped_by in (INTERRUPTED, CHECKPOINT)
