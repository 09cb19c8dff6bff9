"""The folder of one cell, written and read. Nothing is computed here, and each folder has one writer.

A run folder, results/<run>/, holds:

run.json                  schema, command, date, and the plan (cells and their predicted work)
plan.jsonl                the frozen plan: each cell with all that is to be measured in it (``store.plan``)
locks/                    locks of the processes that run, measure and collect (``store.locks``)
environment.json          machine, versions, commit, load, where the run was started
noise.json                sentences on what may have spoiled times, each with its remedy
advice.txt                the end of the summary: what to use, what it saves and costs, where time goes, what fits
cells/<id>/cell.json      the cell, the real lengths of its inputs, the sizes of its model
cells/<id>/environment.json        machine, versions, commit, load, where and when the cell was measured
cells/<id>/arms.json      one entry per strategy: status, reason, and what is known of it besides times
cells/<id>/rounds.jsonl   one line per round of an arm: strategy, index, warm-up or not, marks in seconds. Between them
                          stand lines of kind "calibration", the machine's own speed, in the order of measuring
cells/<id>/traceback-<label>.txt   the traceback of an arm whose code raised an exception
cells/<id>/conditions.json         what ended the rounds, and what else the machine did meanwhile
cells/<id>/try.json                how many times the cell was begun
again/<id>/                        a cell that is measured once more, until it takes the place of cells/<id>
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..words.labels import is_file_name
from ..words.slug import slug
from .cell_entries import CellEntry
from .environment_entries import EnvironmentEntry
from .files import ResultsError, append_line, exists, read_text, write_json, write_text
from .locks import FOLDER as LOCKS
from .locks import cell_lock, is_locked
from .records import ArmResult, Calibration, Conditions, Round
from .schema import damaged, parsed, parsed_file, read_environment, read_run_entry


class CellWriter:
    """Writes one cell's folder. Each round is appended as a whole line, so a killed run keeps its finished rounds."""

    def __init__(self, run_dir: Path, cell_id: str, folder: Path | None = None) -> None:
        """Make ``folder``, by default cells/<id>, and remove what an earlier try has left in it."""
        self.run_dir, self.dir = run_dir, folder or cell_folder(run_dir, cell_id)
        self.dir.mkdir(parents=True, exist_ok=True)
        for stale in (
            "cell.json",
            "arms.json",
            "conditions.json",
            "environment.json",
        ):  # left by an earlier run into the same folder
            (self.dir / stale).unlink(missing_ok=True)
        for stale_traceback in self.dir.glob("traceback-*.txt"):
            stale_traceback.unlink()
        write_text(self.dir / "rounds.jsonl", "")

    def environment(self, content: dict[str, Any]) -> None:
        """Write environment.json: the machine that measures the cell, and its software."""
        write_json(self.dir / "environment.json", content)

    def cell(self, content: dict[str, Any]) -> None:
        """Write cell.json: the cell, and what is known before anything runs."""
        write_json(self.dir / "cell.json", content)

    def arms(self, results: list[ArmResult]) -> None:
        """Write arms.json, the result of every arm. It is written last, so a cell without it was not finished."""
        write_json(self.dir / "arms.json", [asdict(result) for result in results])

    def round(self, done: Round | Calibration) -> None:
        """Append a finished round of an arm, or a calibration, to rounds.jsonl."""
        kind = {"kind": "calibration"} if isinstance(done, Calibration) else {}
        append_line(self.dir / "rounds.jsonl", json.dumps(kind | _plain(asdict(done)), allow_nan=False))

    def traceback(self, label: str, text: str) -> str:
        """Write the traceback of an arm that failed, and return the name of the file."""
        name = f"traceback-{slug(label)}.txt"
        write_text(self.dir / name, text.encode(errors="backslashreplace").decode())
        return name

    def conditions(self, conditions: Conditions) -> None:
        """Write conditions.json."""
        write_json(self.dir / "conditions.json", asdict(conditions))


AGAIN, REPLACED = "again", "replaced"
"""Folders beside ``cells`` of cells that are measured once more, and of those whose place they are taking."""
READINGS = 5
"""Times that a cell is read while another process exchanges its folder."""
RUNNING, ENDED = "still being measured", "its process ended in this cell"
"""How the reasons of a cell without results begin: it is being measured, or the process that did so is gone."""


def cell_folder(run_dir: Path, cell_id: str) -> Path:
    """The folder of a cell."""
    return run_dir / "cells" / cell_id


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN marks by None, since JSON has no NaN."""
    marks_s = [None if math.isnan(mark) else mark for mark in record.get("marks_s", [])]
    return record | ({"marks_s": marks_s} if marks_s else {})


@dataclass(frozen=True)
class CellResult:
    """Content of one cell's folder. ``environment`` is None in folders of versions that did not record it."""

    id: str
    cell: dict[str, Any]
    arms: list[ArmResult]
    rounds: list[Round]
    calibrations: list[Calibration] = field(default_factory=list)
    conditions: Conditions | None = None
    environment: EnvironmentEntry | None = None


def read_cells(run_dir: Path) -> list[CellResult]:
    """Read every cell of a run that was begun, in the order of the plan.

    A cell whose process was killed, or that is still being measured, has its finished rounds, and its arms are
    "failed". A cell whose folder is exchanged at this moment is read from the one or the other. Raises ResultsError if
    a file is missing or damaged.
    """
    found = [_read(run_dir, entry["id"]) for entry in read_run_entry(run_dir)["plan"]]
    return [cell for cell in found if cell is not None]


def read_rounds(run_dir: Path, cell_id: str) -> list[Round]:
    """Read the rounds of one cell; none where the folder does not hold them. Raises ResultsError if one is damaged."""
    path = cell_folder(run_dir, cell_id) / "rounds.jsonl"
    if not is_file_name(cell_id) or not exists(path):
        return []
    return [record for record in _records(path) if isinstance(record, Round)]


def read_cell(folder: Path) -> dict[str, Any]:
    """Read all of cell.json, also keys unknown to ``CellEntry``. Raises ResultsError if it is missing or damaged."""
    path = folder / "cell.json"
    text = read_text(path)
    parsed(CellEntry, text, damaged(path), "run again")
    try:
        cell: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:  # under a key unknown to CellEntry
        raise ResultsError(f"{damaged(path)} ({error}); run again") from None
    return cell


def _read(run_dir: Path, cell_id: str) -> CellResult | None:
    """Read a cell; None if it was never begun. Another process may exchange its folder meanwhile."""
    for left in reversed(range(READINGS)):
        places = (cell_folder(run_dir, cell_id), run_dir / REPLACED / cell_id)
        folder = next((place for place in places if exists(place / "cell.json")), None)
        try:
            if folder is not None:
                return _cell(cell_id, folder)
        except ResultsError:
            if not left or not exists(run_dir / LOCKS):  # a run of an earlier version is written by nobody
                raise
        if folder is None and not exists(run_dir / AGAIN / cell_id):
            return None
        time.sleep(0.02)
    return None


def _cell(cell_id: str, folder: Path) -> CellResult:
    cell, arms, conditions = read_cell(folder), folder / "arms.json", folder / "conditions.json"
    is_running = not exists(arms) and is_locked(cell_lock(folder.parent.parent, cell_id))
    records = list(_records(folder / "rounds.jsonl"))
    rounds = [record for record in records if isinstance(record, Round)]
    calibrations = [record for record in records if isinstance(record, Calibration)]
    results = parsed_file(list[ArmResult], arms) if exists(arms) else _unfinished(cell, rounds, is_running)
    for result in results:
        if result.strategy in cell.get("contenders", []):
            continue
        if result.status == "ok" and _steps(result, rounds) > _formula_steps(cell, result.strategy):
            raise ResultsError(
                f"{folder} holds more steps of {result.strategy} than cell.json has formulas for; run again"
            )
        if result.status == "ok" and _shortest(result, rounds) < (result.steps or 0):
            raise ResultsError(
                f"{folder} holds a round of {result.strategy} that misses some of {result.steps} steps; run again"
            )
    seen = parsed_file(Conditions, conditions) if exists(conditions) else None
    return CellResult(cell_id, cell, results, rounds, calibrations, seen, read_environment(folder) or None)


def _steps(result: ArmResult, rounds: list[Round]) -> int:
    """Number of decode steps that the arm's tables cover: those of its longest round with step marks."""
    marked = (len(done.marks_s) - 2 for done in rounds if done.strategy == result.strategy and done.every_step)
    return max(marked, default=result.steps or 0)


def _shortest(result: ArmResult, rounds: list[Round]) -> int:
    """Number of decode steps in the arm's shortest round with step marks; ``result.steps`` where there is none."""
    marked = (len(done.marks_s) - 2 for done in rounds if done.strategy == result.strategy and done.every_step)
    return min(marked, default=result.steps or 0)


def _formula_steps(cell: dict[str, Any], strategy: str) -> int:
    """Number of decode steps whose FLOPs and bytes cell.json holds."""
    formula = cell["formulas"].get(strategy, {})
    return min((len(values) for values in formula.values() if isinstance(values, list)), default=0)


def _unfinished(cell: dict[str, Any], rounds: list[Round], is_running: bool) -> list[ArmResult]:
    """Make failed arms for a cell without arms.json: it is still being measured, or its process ended before that."""
    labels = cell.get("arms") or [*cell["formulas"], *cell.get("contenders", [])]
    kept = {label: sum(done.strategy == label and not done.warmup for done in rounds) for label in labels}
    reason = f"{RUNNING}; finished rounds so far" if is_running else f"{ENDED}; finished rounds kept"
    return [ArmResult(label, "failed", f"{reason}: {n}") for label, n in kept.items()]


def _records(path: Path) -> Iterator[Round | Calibration]:
    """Read rounds.jsonl. A killed run may leave half a line at the end, which is not a finished round and left out."""
    *lines, rest = read_text(path).split("\n")
    for number, line in enumerate(lines, 1):
        yield _record(line, f"{path} line {number} is not a round")
    try:
        yield _record(rest, "")
    except ResultsError:
        return


def _record(line: str, what: str) -> Round | Calibration:
    remedy = "remove the line to read the others"
    start = '{"kind": "calibration", '
    if line.startswith(start):
        return parsed(Calibration, line.replace(start, "{", 1), what, remedy)
    return parsed(Round, line, what, remedy)
