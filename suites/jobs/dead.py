"""Failed rows for cells whose job died, in whatever way, before it wrote what became of them."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from ..store.cell_folder import CellWriter, cell_folder
from ..store.entries import FrozenEntry
from ..store.files import exists, write_json
from ..store.locks import BusyError, cell_lock, locked
from ..store.plan import labels_of
from ..store.records import ArmResult
from ..store.schema import parsed_file
from .attempt import AGAIN
from .states import Standing


def dead_of(error: Exception, now: Standing) -> list[FrozenEntry]:
    """The cells whose jobs are dead where a launcher of Hydra raises ``error``.

    submitit's names the first job of an array that died, while others may still wait. Those that have begun, and that
    nobody measures now, are dead too. An error that names no job, such as joblib's, means that all of them are.
    """
    left, named = now.left(retry_failed=True), re.search(r"\bJob \d+_(\d+)\b", str(error))
    if named is None:
        return left
    number = int(named[1])
    return [one for one in left if now.entries.index(one) == number or now.states[one["id"]].tries]


def write_dead(run_dir: Path, entry: FrozenEntry, reason: str, over: str | None = None) -> None:
    """Fail every arm of a cell, unless its folder holds results or a process measures it. Finished rounds are kept.

    Of a cell with results, the arms that failed with the reason ``over`` get the new one.
    """
    folder, again = cell_folder(run_dir, entry["id"]), run_dir / AGAIN / entry["id"]
    with suppress(BusyError), locked(cell_lock(run_dir, entry["id"]), ""):
        if exists(again / "try.json"):  # it died in another try: what the first one measured stays, and the try counts
            (again / "try.json").replace(folder / "try.json")
            shutil.rmtree(again, ignore_errors=True)
        if exists(folder / "arms.json"):
            if over is not None:
                arms: list[ArmResult] = parsed_file(list[ArmResult], folder / "arms.json")
                told = [replace(arm, reason=reason) if arm.reason == over else arm for arm in arms]
                write_json(folder / "arms.json", [asdict(arm) for arm in told])
            return
        if not exists(folder / "cell.json"):
            known = {"measure": entry["measure"], "arms": labels_of(entry), "contenders": entry["contenders"]}
            CellWriter(run_dir, entry["id"]).cell({**entry["cell"], **known, "src_lens": [], "formulas": {}})
        if not exists(folder / "try.json"):
            write_json(folder / "try.json", {"number": 1})
        write_json(folder / "arms.json", [asdict(ArmResult(label, "failed", reason)) for label in labels_of(entry)])
