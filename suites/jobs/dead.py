"""Failed rows for cells whose job died, in whatever way, before it wrote what became of them."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from ..machine.signals import CHECKPOINT
from ..store.cell_folder import AGAIN, CellWriter, cell_folder
from ..store.cell_state import try_of
from ..store.files import listed, read_json, write_json, write_json_once
from ..store.locks import PROBING_S, BusyError, cell_lock, is_locked, locked
from ..store.plan import labels_of
from ..store.plan_entries import FrozenEntry
from ..store.records import ArmResult
from ..store.schema import parsed_file
from .attempt import note_try
from .states import Standing

TIME_LIMIT = "the time limit of its job"
"""What ended the rounds of a cell whose job was begun anew too often."""


def dead_of(error: Exception, now: Standing) -> list[FrozenEntry]:
    """The cells whose jobs are dead where a launcher of Hydra raises ``error``.

    submitit's names the first job of an array that died, while others may still wait. Those that have begun, and that
    nobody measures now, are dead too. An error that names no job, such as joblib's, means that all of them are.
    """
    left, named = now.left(retry_failed=True), re.search(r"\bJob \d+_(\d+)\b", str(error))
    if named is None:
        return left
    number = int(named[1])
    return [one for one in left if now.entries.index(one) == number or now.states[one["id"]].begun]


def lacks_results(run_dir: Path, cell_id: str) -> bool:
    """Whether a cell has no results, or its last try has none, as a job that died leaves it."""
    return "arms.json" not in listed(cell_folder(run_dir, cell_id)) or bool(listed(run_dir / AGAIN / cell_id))


def write_dead(run_dir: Path, entry: FrozenEntry, reason: str) -> None:
    """Fail every arm of a cell, unless its folder holds results or a process measures it. Finished rounds are kept.

    If the job died in a later try, what an earlier one measured stays, and try.json keeps the reason.
    """
    folder, again = cell_folder(run_dir, entry["id"]), run_dir / AGAIN / entry["id"]
    if is_locked(cell_lock(run_dir, entry["id"])):
        return
    with suppress(BusyError), locked(cell_lock(run_dir, entry["id"]), "", PROBING_S):
        number = try_of(folder)["number"] + 1
        if listed(again):
            note_try(folder, number, reason)
            shutil.rmtree(again, ignore_errors=True)
            with suppress(OSError):
                again.parent.rmdir()
            return
        if "arms.json" in listed(folder):
            return
        if "cell.json" not in listed(folder):
            known = {"measure": entry["measure"], "arms": labels_of(entry), "contenders": entry["contenders"]}
            CellWriter(run_dir, entry["id"]).cell({**entry["cell"], **known, "src_lens": [], "formulas": {}})
        failed = [asdict(ArmResult(label, "failed", reason)) for label in labels_of(entry)]
        if write_json_once(folder / "arms.json", failed):
            note_try(folder, number)


def fail_at_time_limit(run_dir: Path, entry: FrozenEntry, reason: str) -> None:
    """Fail the arms of a cell whose job was begun anew too often. The rounds of the last try are kept.

    Where the folder holds what another try has measured, that stays, and try.json keeps the reason.
    """
    folder = cell_folder(run_dir, entry["id"])
    with locked(cell_lock(run_dir, entry["id"]), "{holder} measures the cell", PROBING_S):
        number = try_of(folder)["number"] + 1
        arms: list[ArmResult] = parsed_file(list[ArmResult], folder / "arms.json")
        conditions = read_json(folder / "conditions.json") if "conditions.json" in listed(folder) else {}
        if conditions.get("stopped_by") != CHECKPOINT and not any(arm.reason == CHECKPOINT for arm in arms):
            note_try(folder, number, reason)
            return
        for place, arm in enumerate(arms):
            if arm.status == "ok" or arm.reason == CHECKPOINT:
                arms[place] = replace(arm, status="failed", reason=reason)
        write_json(folder / "arms.json", [asdict(arm) for arm in arms])
        if conditions:
            write_json(folder / "conditions.json", conditions | {"stopped_by": TIME_LIMIT})
        note_try(folder, number)
