"""The run folder: results/<run>/cells/<id>/ holds what was measured, one writer each; nothing here computes.

run.json            schema, command, when, the plan (cells and their predicted work)
environment.json    machine, versions, commit, load
noise.json          what may have spoiled times, each with its remedy, in sentences
cells/<id>/cell.json      the cell, its inputs' real lengths, its model's sizes
cells/<id>/arms.json      one entry a strategy: status, reason, facts that are not timings
cells/<id>/rounds.jsonl   one line a round of an arm: strategy, index, warm-up or not, marks in seconds; among them
                          lines of kind "calibration", the machine's own speed, in the order of measuring
cells/<id>/conditions.json what ended the rounds, and what else the machine did meanwhile
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .records import ArmFacts, Calibration, Conditions, Round, Status, twin_label

__all__ = [
    "ArmFacts", "Calibration", "CellResult", "CellWriter", "Conditions", "READABLE", "ResultsError", "Round", "SCHEMA",
    "Status", "read_cells", "read_json", "read_text", "twin_label", "write_json",
]  # fmt: skip

SCHEMA = 2
READABLE = (1, SCHEMA)
"""Schema 1 has no calibrations, no conditions.json, and no ``measure`` in cell.json."""


class ResultsError(ValueError):
    """A run folder that cannot be read; the message is one line."""


def write_json(path: Path, content: Any) -> None:
    """Write whole or not at all."""
    write_text(path, json.dumps(content, indent=1, default=str) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(content, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """The content of a file of a run folder. Raises ResultsError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultsError(f"{path} does not exist; give a folder that `run` wrote, such as results/latest") from None
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror}); give a folder that `run` wrote") from None
    except UnicodeDecodeError as error:
        raise ResultsError(f"{path} is not text ({error}); the file is damaged or foreign") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file of a run folder. Raises ResultsError."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path} is not readable as JSON ({error}); the file is damaged or foreign") from None


class CellWriter:
    """Writes one cell's folder. Rounds are appended whole lines at a time: a killed run keeps the finished ones."""

    def __init__(self, run_dir: Path, cell_id: str) -> None:
        self.dir = run_dir / "cells" / cell_id
        self.dir.mkdir(parents=True, exist_ok=True)
        for stale in ("cell.json", "arms.json", "conditions.json"):  # of an earlier run into the same folder
            (self.dir / stale).unlink(missing_ok=True)
        (self.dir / "rounds.jsonl").write_text("")

    def cell(self, content: dict[str, Any]) -> None:
        """The cell and what is known before anything runs."""
        write_json(self.dir / "cell.json", content)

    def arms(self, facts: list[ArmFacts]) -> None:
        """Every arm's facts: the last thing written, so that a cell without them did not come to an end."""
        write_json(self.dir / "arms.json", [asdict(fact) for fact in facts])

    def round(self, done: Round | Calibration) -> None:
        """One finished round of an arm, or a calibration."""
        kind = {"kind": "calibration"} if isinstance(done, Calibration) else {}
        with (self.dir / "rounds.jsonl").open("a") as file:
            file.write(json.dumps(kind | asdict(done)) + "\n")

    def conditions(self, conditions: Conditions) -> None:
        """What the rounds were measured under."""
        write_json(self.dir / "conditions.json", asdict(conditions))


@dataclass(frozen=True)
class CellResult:
    """What one cell's folder holds."""

    id: str
    cell: dict[str, Any]
    arms: list[ArmFacts]
    rounds: list[Round]
    calibrations: list[Calibration] = field(default_factory=list)
    conditions: Conditions | None = None


def _record(line: str) -> Round | Calibration:
    """Raises JSONDecodeError or TypeError."""
    entry = json.loads(line)
    if isinstance(entry, dict) and entry.get("kind") == "calibration":
        return Calibration(**{name: value for name, value in entry.items() if name != "kind"})
    return Round(**entry)


def _records(path: Path) -> Iterator[Round | Calibration]:
    """A killed run may leave half a line at the end: it is no finished round, and is left out."""
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines, 1):
        if not line and number == len(lines):
            return
        try:
            yield _record(line)
        except (json.JSONDecodeError, TypeError) as error:
            if number == len(lines):
                return
            raise ResultsError(f"{path} line {number} is not a round ({error}); remove it to read the others") from None


def read_cells(run_dir: Path) -> list[CellResult]:
    """Every cell of a run that has come to an end, in the plan's order. Raises ResultsError."""
    path = run_dir / "run.json"
    run = read_json(path)
    if not isinstance(run, dict) or not {"schema", "plan"} <= run.keys():
        raise ResultsError(f"{path} lacks the schema or the plan; the file is damaged or foreign")
    if run["schema"] not in READABLE:
        versions = " and ".join(map(str, READABLE))
        raise ResultsError(f"{run_dir} has schema {run['schema']}, this version reads {versions}; run again")
    folders = [(planned["id"], run_dir / "cells" / planned["id"]) for planned in run["plan"]]
    return [_cell(name, folder, run["schema"]) for name, folder in folders if _complete(folder)]


def _complete(folder: Path) -> bool:
    return (folder / "cell.json").exists() and (folder / "arms.json").exists()


def _cell(cell_id: str, folder: Path, schema: int) -> CellResult:
    try:
        path = folder / "arms.json"
        arms = [ArmFacts(**entry) for entry in read_json(path)]
        path = folder / "conditions.json"
        conditions = Conditions(**read_json(path)) if path.exists() else None
    except TypeError as error:
        raise ResultsError(f"{path} is not of schema {schema} ({error}); run again") from None
    records = list(_records(folder / "rounds.jsonl"))
    return CellResult(
        cell_id,
        read_json(folder / "cell.json"),
        arms,
        [record for record in records if isinstance(record, Round)],
        [record for record in records if isinstance(record, Calibration)],
        conditions,
    )
