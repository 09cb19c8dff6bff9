"""The frozen plan of a run, ``plan.jsonl``: one line per cell, with all that is to be measured in it.

Whoever measures a cell, in whatever process and on whatever machine, reads it from here and composes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..settings.config import rules
from ..settings.rules import shown
from .files import ResultsError, exists, read_text, write_text
from .plan_entries import FrozenEntry, GreedyEntry
from .schema import damaged, parsed

NAME = "plan.jsonl"
REMEDY = "measure it anew in a new folder, or with the version that planned it"


def write_plan(run_dir: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write the plan. Each entry has the keys of ``FrozenEntry``."""
    write_text(run_dir / NAME, "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries))


def read_plan(run_dir: Path) -> list[FrozenEntry]:
    """Read the plan, in its order. Raises ResultsError if the folder has none, or a damaged one."""
    entries: dict[str, FrozenEntry] = {}
    for number, line in enumerate(_lines(run_dir), 1):
        entry = _entry(run_dir, number, line)
        if entry["id"] in entries:
            raise ResultsError(f"{_line(run_dir, number)} (its id stands there twice); {REMEDY}")
        entries[entry["id"]] = entry
    if not entries:
        raise ResultsError(f"{damaged(run_dir / NAME)} (it plans no cell); {REMEDY}")
    return [*entries.values()]


def planned_cell(run_dir: Path, cell_id: str) -> FrozenEntry:
    """Read one cell of the plan, and no other. Raises ResultsError if it is not there."""
    for number, line in enumerate(_lines(run_dir), 1):
        if json.dumps(cell_id) in line and (entry := _entry(run_dir, number, line))["id"] == cell_id:
            return entry
    raise ResultsError(f"{run_dir / NAME} plans no cell {cell_id}; give the id of a folder in {run_dir / 'cells'}")


def ids_of_job(run_dir: Path, job: int) -> list[str]:
    """Read the ids of the cells of a job, whose number counts from 0. Raises ResultsError if the plan has no such job.

    It has none of its own where all of them are cells of an earlier job too.
    """
    entries = read_plan(run_dir)
    numbers = [entry.get("job", place) for place, entry in enumerate(entries)]
    found = [entry["id"] for entry, number in zip(entries, numbers, strict=True) if number == job]
    if job > max(numbers):
        raise ResultsError(f"{damaged(run_dir / NAME)} (it plans {max(numbers) + 1} jobs); {REMEDY}")
    return found


def _lines(run_dir: Path) -> list[str]:
    path = run_dir / NAME
    if not exists(path):
        raise ResultsError(
            f"{run_dir} has no {NAME}, as runs of this version have; `plot {run_dir} --retable` makes its tables anew, "
            "and a run into a new folder measures it anew"
        )
    return read_text(path).splitlines()


def _line(run_dir: Path, number: int) -> str:
    return f"line {number} of {damaged(run_dir / NAME)}"


def _entry(run_dir: Path, number: int, line: str) -> FrozenEntry:
    what = _line(run_dir, number)
    entry: FrozenEntry = parsed(FrozenEntry, line, what, REMEDY)
    if wrong := _wrong(entry):
        raise ResultsError(f"{what} ({wrong}); {REMEDY}")
    if "search" not in entry["cell"]:  # earlier versions decoded greedily, and did not say so
        entry["cell"]["search"] = cast("GreedyEntry", {"kind": "greedy"})
    return entry


def _wrong(entry: FrozenEntry) -> str:
    """Say which value no plan could have; "" where each could be."""
    if not labels_of(entry):
        return "it has no strategy and no contender"
    known = _rules()
    for name, value in entry["measure"].items():
        rule = known.get(f"measure.{name}")
        if rule is None:
            return f"measure.{name} is not known"
        if not rule.admits(value):
            return rule.refusal(f"measure.{name}", shown(value))
    return ""


_rules = cache(rules)
"""The rules of all keys, asked for once and not for each line."""


def labels_of(entry: FrozenEntry) -> list[str]:
    """Labels of all arms that are to be measured in a cell: strategies, then contenders."""
    return [*entry["strategies"], *entry["contenders"]]
