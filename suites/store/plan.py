"""The frozen plan of a run, ``plan.jsonl``: one line per cell, with all that is to be measured in it.

Whoever measures a cell, in whatever process and on whatever machine, reads it from here and composes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..settings.config import rules
from ..settings.rules import shown
from .entries import FrozenEntry
from .files import ResultsError, exists, read_text, write_text
from .schema import damaged, parsed

NAME = "plan.jsonl"
REMEDY = "measure it anew in a new folder, or with the version that planned it"


def write_plan(run_dir: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write the plan. Each entry has the keys of ``FrozenEntry``."""
    write_text(run_dir / NAME, "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries))


def read_plan(run_dir: Path) -> list[FrozenEntry]:
    """Read the plan, in its order. Raises ResultsError if the folder has none, or a damaged one."""
    path = run_dir / NAME
    if not exists(path):
        raise ResultsError(
            f"{run_dir} has no {NAME}, as runs of this version have; `plot {run_dir} --retable` makes its tables anew, "
            "and a run into a new folder measures it anew"
        )
    entries: dict[str, FrozenEntry] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        what = f"line {number} of {damaged(path)}"
        entry: FrozenEntry = parsed(FrozenEntry, line, what, REMEDY)
        if wrong := _wrong(entry) or ("its id stands there twice" if entry["id"] in entries else ""):
            raise ResultsError(f"{what} ({wrong}); {REMEDY}")
        entries[entry["id"]] = entry
    if not entries:
        raise ResultsError(f"{damaged(path)} (it plans no cell); {REMEDY}")
    return [*entries.values()]


def _wrong(entry: FrozenEntry) -> str:
    """Say which value no plan could have; "" where each could be."""
    if not labels_of(entry):
        return "it has no strategy and no contender"
    known = {name.removeprefix("measure."): rule for name, rule in rules().items() if name.startswith("measure.")}
    for name, value in entry["measure"].items():
        if name not in known:
            return f"measure.{name} is not known"
        if not known[name].admits(value):
            return known[name].refusal(f"measure.{name}", shown(value))
    return ""


def planned_cell(run_dir: Path, cell_id: str) -> FrozenEntry:
    """Read one cell of the plan. Raises ResultsError if it is not there."""
    for entry in read_plan(run_dir):
        if entry["id"] == cell_id:
            return entry
    raise ResultsError(f"{run_dir / NAME} plans no cell {cell_id}; give the id of a folder in {run_dir / 'cells'}")


def labels_of(entry: FrozenEntry) -> list[str]:
    """Labels of all arms that are to be measured in a cell: strategies, then contenders."""
    return [*entry["strategies"], *entry["contenders"]]
