"""What of a run is measured, and what is left: the states of all its planned cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..store.cell_state import CellState, state_of
from ..store.entries import FrozenEntry
from ..store.locks import cell_lock, is_locked
from ..store.plan import read_plan
from .attempt import mend_all


@dataclass(frozen=True)
class Standing:
    """Where a run stands. ``states`` has each cell of the plan ``entries``; ``running`` are measured at this moment."""

    entries: list[FrozenEntry]
    states: Mapping[str, CellState]
    running: frozenset[str]

    def left(self, retry_failed: bool = False) -> list[FrozenEntry]:
        """Cells that a resumed run measures: missing or failed, and measured by nobody now."""
        return [
            entry
            for entry in self.entries
            if entry["id"] not in self.running and self.states[entry["id"]].is_left(retry_failed)
        ]

    def given_up(self) -> list[FrozenEntry]:
        """Cells that failed as often as a resumed run tries them."""
        return [e for e in self.entries if self.states[e["id"]].status == "failed" and e not in self.left()]

    @property
    def begun(self) -> bool:
        """Whether a cell was begun."""
        return any(state.tries for state in self.states.values())

    def told(self) -> str:
        """One line: how many cells are done, running, failed and missing."""
        found = Counter("running" if one in self.running else state.status for one, state in self.states.items())
        counts = ", ".join(f"{found[kind]} {kind}" for kind in ("done", "running", "failed", "missing"))
        return f"{len(self.entries)} {'cell' if len(self.entries) == 1 else 'cells'}: {counts}"


def standing(run_dir: Path) -> Standing:
    """Read where a run stands; what a killed process left half done is mended first. Raises ResultsError."""
    entries = read_plan(run_dir)
    mend_all(run_dir)
    running = frozenset(entry["id"] for entry in entries if is_locked(cell_lock(run_dir, entry["id"])))
    return Standing(entries, {entry["id"]: state_of(run_dir, entry) for entry in entries}, running)
