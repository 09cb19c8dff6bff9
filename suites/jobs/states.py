"""What of a run is measured, and what is left: the states of all its planned cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..store.cell_state import CellState, state_of
from ..store.files import ResultsError
from ..store.locks import cell_lock, is_locked
from ..store.plan import NAME as PLAN
from ..store.plan import read_plan
from ..store.plan_entries import FrozenEntry
from ..store.schema import read_run_entry
from ..words.quantity import counted
from .attempt import mend_all


@dataclass(frozen=True)
class Standing:
    """Where a run stands. ``states`` has each cell of the plan ``entries``; ``running`` are measured at this moment."""

    entries: list[FrozenEntry]
    states: Mapping[str, CellState]
    running: frozenset[str]

    def left(self, retry_failed: bool = False, has_cuda: bool = False) -> list[FrozenEntry]:
        """Cells that a resumed run measures (``CellState.is_left``), and that nobody measures now."""
        return [
            entry
            for entry in self.entries
            if entry["id"] not in self.running and self.states[entry["id"]].is_left(retry_failed, has_cuda)
        ]

    def given_up(self, left: Sequence[FrozenEntry]) -> list[CellState]:
        """States of the cells that were tried as often as a resumed run tries them, in vain, and are not ``left``."""
        ids = {entry["id"] for entry in left}
        return [s for one, s in self.states.items() if s.status != "done" and not s.is_left() and one not in ids]

    @property
    def begun(self) -> bool:
        """Whether a cell was begun."""
        return any(state.begun for state in self.states.values())

    @property
    def whole(self) -> bool:
        """Whether every cell is done."""
        return all(state.status == "done" for state in self.states.values())

    def told(self) -> str:
        """One line: how many cells are done, running, failed and missing."""
        found = Counter("running" if one in self.running else state.status for one, state in self.states.items())
        counts = ", ".join(f"{found[kind]} {kind}" for kind in ("done", "running", "failed", "missing"))
        return f"{counted(len(self.entries), 'cell')}: {counts}"


def standing(run_dir: Path) -> Standing:
    """Read where a run stands; what a killed process left half done is mended first. Raises ResultsError."""
    entries = read_plan(run_dir)
    if {entry["id"] for entry in entries} != {one["id"] for one in read_run_entry(run_dir)["plan"]}:
        raise ResultsError(
            f"{run_dir / PLAN} and {run_dir / 'run.json'} plan different cells, so one of them is of another run; "
            "measure it anew in a new folder"
        )
    mend_all(run_dir)
    running = frozenset(entry["id"] for entry in entries if is_locked(cell_lock(run_dir, entry["id"])))
    return Standing(entries, {entry["id"]: state_of(run_dir, entry) for entry in entries}, running)
