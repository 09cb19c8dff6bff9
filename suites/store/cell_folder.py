"""The run folder: results/<run>/cells/<id>/ holds what was measured, one writer each; nothing here computes.

run.json            schema, command, when, the plan (cells and their predicted work)
environment.json    machine, versions, commit, load
noise.json          what may have spoiled times, each with its remedy, in sentences
advice.txt          the end of the summary: what to use, what it saves and costs, where time goes, what fits
cells/<id>/cell.json      the cell, its inputs' real lengths, its model's sizes
cells/<id>/arms.json      one entry a strategy: status, reason, what is known of it besides times
cells/<id>/rounds.jsonl   one line a round of an arm: strategy, index, warm-up or not, marks in seconds; among them
                          lines of kind "calibration", the machine's own speed, in the order of measuring
cells/<id>/traceback-<label>.txt   of an arm whose code raised something
cells/<id>/conditions.json what ended the rounds, and what else the machine did meanwhile
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..words.slug import slug
from .entries import CellEntry
from .files import ResultsError, append_line, exists, read_text, write_json, write_text
from .records import ArmResult, Calibration, Conditions, Round
from .schema import damaged, parsed, parsed_file, read_run_entry


class CellWriter:
    """Writes one cell's folder. Rounds are appended whole lines at a time: a killed run keeps the finished ones."""

    def __init__(self, run_dir: Path, cell_id: str) -> None:
        self.run_dir, self.dir = run_dir, run_dir / "cells" / cell_id
        self.dir.mkdir(parents=True, exist_ok=True)
        for stale in ("cell.json", "arms.json", "conditions.json"):  # of an earlier run into the same folder
            (self.dir / stale).unlink(missing_ok=True)
        for stale_traceback in self.dir.glob("traceback-*.txt"):
            stale_traceback.unlink()
        write_text(self.dir / "rounds.jsonl", "")

    def cell(self, content: dict[str, Any]) -> None:
        """The cell and what is known before anything runs."""
        write_json(self.dir / "cell.json", content)

    def arms(self, results: list[ArmResult]) -> None:
        """What came of every arm: the last thing written, so that a cell without it did not come to an end."""
        write_json(self.dir / "arms.json", [asdict(result) for result in results])

    def round(self, done: Round | Calibration) -> None:
        """One finished round of an arm, or a calibration."""
        kind = {"kind": "calibration"} if isinstance(done, Calibration) else {}
        append_line(self.dir / "rounds.jsonl", json.dumps(kind | _plain(asdict(done)), allow_nan=False))

    def traceback(self, label: str, text: str) -> str:
        """Where an arm failed; the name of the file."""
        name = f"traceback-{slug(label)}.txt"
        write_text(self.dir / name, text.encode(errors="backslashreplace").decode())
        return name

    def conditions(self, conditions: Conditions) -> None:
        """What the rounds were measured under."""
        write_json(self.dir / "conditions.json", asdict(conditions))


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """NaN marks as null, since JSON has no NaN."""
    marks_s = [None if math.isnan(mark) else mark for mark in record.get("marks_s", [])]
    return record | ({"marks_s": marks_s} if marks_s else {})


@dataclass(frozen=True)
class CellResult:
    """What one cell's folder holds."""

    id: str
    cell: dict[str, Any]
    arms: list[ArmResult]
    rounds: list[Round]
    calibrations: list[Calibration] = field(default_factory=list)
    conditions: Conditions | None = None


def read_cells(run_dir: Path) -> list[CellResult]:
    """Every cell of a run that has begun, in the plan's order. Raises ResultsError.

    A cell that did not come to an end, because its process was killed, has its finished rounds and failed arms.
    """
    folders = [(entry["id"], run_dir / "cells" / entry["id"]) for entry in read_run_entry(run_dir)["plan"]]
    return [_cell(name, folder) for name, folder in folders if exists(folder / "cell.json")]


def read_cell(folder: Path) -> dict[str, Any]:
    """cell.json, whole, not only what is read in every case. Raises ResultsError."""
    path = folder / "cell.json"
    text = read_text(path)
    parsed(CellEntry, text, damaged(path), "run again")
    try:
        cell: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:  # in what is not read again
        raise ResultsError(f"{damaged(path)} ({error}); run again") from None
    return cell


def _cell(cell_id: str, folder: Path) -> CellResult:
    cell = read_cell(folder)
    records = list(_records(folder / "rounds.jsonl"))
    rounds = [record for record in records if isinstance(record, Round)]
    calibrations = [record for record in records if isinstance(record, Calibration)]
    arms, conditions = folder / "arms.json", folder / "conditions.json"
    results = parsed_file(list[ArmResult], arms) if exists(arms) else _unfinished(cell, rounds)
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
    return CellResult(cell_id, cell, results, rounds, calibrations, seen)


def _steps(result: ArmResult, rounds: list[Round]) -> int:
    """Decode steps that its tables speak of."""
    marked = (len(done.marks_s) - 2 for done in rounds if done.strategy == result.strategy and done.every_step)
    return max(marked, default=result.steps or 0)


def _shortest(result: ArmResult, rounds: list[Round]) -> int:
    """Decode steps of its shortest round; the steps that were told where none has marks of them."""
    marked = (len(done.marks_s) - 2 for done in rounds if done.strategy == result.strategy and done.every_step)
    return min(marked, default=result.steps or 0)


def _formula_steps(cell: dict[str, Any], strategy: str) -> int:
    """Decode steps whose FLOPs and bytes are known."""
    formula = cell["formulas"].get(strategy, {})
    return min((len(values) for values in formula.values() if isinstance(values, list)), default=0)


def _unfinished(cell: dict[str, Any], rounds: list[Round]) -> list[ArmResult]:
    """The strategies of a cell whose process ended before it could say what came of them."""
    labels = [*cell["formulas"], *cell.get("contenders", [])]
    kept = {label: sum(done.strategy == label and not done.warmup for done in rounds) for label in labels}
    return [
        ArmResult(label, "failed", f"the run was killed, or is still going on, in this case; finished rounds kept: {n}")
        for label, n in kept.items()
    ]


def _records(path: Path) -> Iterator[Round | Calibration]:
    """A killed run may leave half a line at the end: it is no finished round, and is left out."""
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
