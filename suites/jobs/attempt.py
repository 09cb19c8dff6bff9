"""One try at measuring a cell: under its lock, and beside what an earlier try has measured until it is done."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..store.cell_folder import cell_folder
from ..store.cell_state import ENDED, tries_of, worth
from ..store.entries import FrozenEntry
from ..store.files import exists, write_json
from ..store.locks import BusyError, cell_lock, locked

AGAIN, REPLACED = "again", "replaced"
"""Folders beside ``cells`` of cells that are measured once more, and of those whose place they take."""
PROBING_S = 5.0
"""Seconds to wait for a cell's lock: a process that only asks whether it is held holds it for a moment."""


@contextmanager
def attempt(run_dir: Path, entry: FrozenEntry) -> Iterator[Path]:
    """Lock a cell and give the folder to measure it in.

    A cell that was begun before is measured in a folder beside it, which takes the place of the old one at the end if
    it is worth as much (``cell_state.worth``). So nothing that was finished is lost. The folder's try.json counts.

    Raises BusyError if another process measures the cell.
    """
    cell_id = entry["id"]
    busy = f"cell {cell_id} of {run_dir} is being measured by {{holder}}; wait for its end"
    with locked(cell_lock(run_dir, cell_id), busy, PROBING_S):
        _mend(run_dir, cell_id)
        first, again = cell_folder(run_dir, cell_id), run_dir / AGAIN / cell_id
        # A try that was interrupted, or told to begin anew, does not count.
        number = max(1, *(tries_of(one) + (worth(one)[0] == ENDED) for one in (first, again)))
        folder = again if exists(first / "cell.json") else first
        shutil.rmtree(again, ignore_errors=True)
        started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        write_json(folder / "try.json", {"number": number, "started": started})
        try:
            yield folder
        finally:
            if folder == again:
                _take_place(run_dir, cell_id)


def mend_all(run_dir: Path) -> None:
    """Mend every cell that a killed process left half exchanged, and that nobody measures now."""
    left = {
        folder.name for place in (AGAIN, REPLACED) if exists(run_dir / place) for folder in (run_dir / place).iterdir()
    }
    for cell_id in sorted(left):
        with suppress(BusyError), locked(cell_lock(run_dir, cell_id), ""):
            _mend(run_dir, cell_id)


def _mend(run_dir: Path, cell_id: str) -> None:
    """Finish what a killed process left undone: an exchange of folders, or a try that was done and not put in place."""
    first, again, old = cell_folder(run_dir, cell_id), run_dir / AGAIN / cell_id, run_dir / REPLACED / cell_id
    if exists(old) and not exists(first):
        old.rename(first)
    shutil.rmtree(old, ignore_errors=True)
    if exists(again / "arms.json"):
        _take_place(run_dir, cell_id)
    _remove_empty(old.parent)


def _take_place(run_dir: Path, cell_id: str) -> None:
    """Exchange a cell's folder for the new one if that is worth as much; else note the try alone."""
    first, again, old = cell_folder(run_dir, cell_id), run_dir / AGAIN / cell_id, run_dir / REPLACED / cell_id
    if worth(first) <= worth(again):
        old.parent.mkdir(exist_ok=True)
        first.rename(old)
        again.rename(first)
        shutil.rmtree(old, ignore_errors=True)
        _remove_empty(old.parent)
    else:
        (again / "try.json").replace(first / "try.json")
        shutil.rmtree(again, ignore_errors=True)
    _remove_empty(again.parent)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # another cell is in it
        folder.rmdir()
