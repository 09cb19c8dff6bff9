"""One try at measuring a cell: under its lock, and beside what an earlier try has measured until it is done."""

from __future__ import annotations

import datetime
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..store.cell_folder import AGAIN, REPLACED, cell_folder
from ..store.cell_state import outcome_of, try_of
from ..store.files import listed, write_json
from ..store.locks import PROBING_S, BusyError, cell_lock, is_locked, locked
from ..store.plan_entries import FrozenEntry


@contextmanager
def attempt(run_dir: Path, entry: FrozenEntry) -> Iterator[Path]:
    """Lock a cell and give the folder to measure it in.

    A cell that was begun before is measured in a folder beside it, which takes the place of the old one at the end if
    nothing that was measured is lost by that (``Outcome.replaces``). The folder's try.json counts the tries that came
    to their end.

    Raises BusyError if another process measures the cell.
    """
    cell_id = entry["id"]
    busy = f"cell {cell_id} of {run_dir} is being measured by {{holder}}; wait for its end"
    with locked(cell_lock(run_dir, cell_id), busy, PROBING_S):
        _mend(run_dir, cell_id)
        first, again = cell_folder(run_dir, cell_id), run_dir / AGAIN / cell_id
        folder, before = again if "cell.json" in listed(first) else first, try_of(first)["number"]
        _remove(again)
        note_try(folder, before)
        try:
            yield folder
        finally:
            if outcome_of(folder).ended:
                note_try(folder, before + 1)
            if folder == again:
                _take_place(run_dir, cell_id)


def note_try(folder: Path, number: int, reason: str = "") -> None:
    """Write try.json: how many tries came to their end, and how the last one ended if its results are not here."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    write_json(folder / "try.json", {"number": number, "written": now} | ({"reason": reason} if reason else {}))


def mend_all(run_dir: Path) -> None:
    """Mend every cell that a killed process left half exchanged, and that nobody measures now."""
    left = {*listed(run_dir / AGAIN), *listed(run_dir / REPLACED)}
    for cell_id in sorted(name for name in left if not name.startswith(".")):
        if not is_locked(cell_lock(run_dir, cell_id)):
            with suppress(BusyError), locked(cell_lock(run_dir, cell_id), "", PROBING_S):
                _mend(run_dir, cell_id)


def _mend(run_dir: Path, cell_id: str) -> None:
    """Finish what a killed process left undone: an exchange of folders, or a try that was done and not put in place."""
    first, again, old = cell_folder(run_dir, cell_id), run_dir / AGAIN / cell_id, run_dir / REPLACED / cell_id
    if listed(old) and not listed(first):
        old.rename(first)
    _remove(old)
    if "arms.json" in listed(again):
        if outcome_of(again).ended:
            note_try(again, try_of(first)["number"] + 1)
        _take_place(run_dir, cell_id)


def _take_place(run_dir: Path, cell_id: str) -> None:
    """Exchange a cell's folder for the new one, unless what was measured is lost by that; then note the try."""
    first, again, old = cell_folder(run_dir, cell_id), run_dir / AGAIN / cell_id, run_dir / REPLACED / cell_id
    found = outcome_of(again)
    if found.replaces(outcome_of(first)):
        old.parent.mkdir(exist_ok=True)
        first.rename(old)
        again.rename(first)
        _remove(old)
    elif found.ended:
        note_try(first, try_of(again)["number"], found.reason)
    _remove(again)


def _remove(folder: Path) -> None:
    """Remove a folder, and the one that holds it if that is empty then.

    On NFS, a file that somebody reads stays for a while under another name; what is left is put out of the way.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.rename(folder.with_name(f".{secrets.token_hex(8)}"))
    with suppress(OSError):  # another cell is in it
        folder.parent.rmdir()
