"""The run folder: results/<run>/cells/<id>/ holds what was measured, one writer each; nothing here computes.

run.json            schema, command, when, the plan (cells and their predicted work)
environment.json    machine, versions, commit, load
cells/<id>/cell.json      the cell, its inputs' real lengths, its model's sizes
cells/<id>/arms.json      one entry a strategy: status, reason, facts that are not timings
cells/<id>/rounds.jsonl   one line a round: strategy, index, warm-up or not, marks in seconds
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1
Status = Literal["ok", "invalid", "failed", "skipped"]


class ResultsError(ValueError):
    """A run folder that cannot be read; the message is one line."""


@dataclass(frozen=True)
class Round:
    """One timed pass of one arm. ``marks_s``: start (0), prefill, first token, then each token, or the end alone."""

    strategy: str
    index: int
    warmup: bool
    every_step: bool
    marks_s: list[float]


@dataclass(frozen=True)
class ArmFacts:
    """What is known of one strategy in one cell besides its rounds. Bytes and seconds; None where it was not measured.

    ``status`` invalid: it disagrees with the oracle. ``steps``: decode steps taken; ``row_lens``: tokens of each row
    up to its end; ``tokens_equal``: the last round chose the oracle's tokens; ``roles``: FLOPs and bytes of the steps
    taken (``formulas.role_sums``), which folders of earlier versions lack.
    """

    strategy: str
    status: Status
    reason: str = ""
    setup_s: float | None = None
    steps: int | None = None
    row_lens: list[int] | None = None
    necessary_flops: int | None = None
    kv_reserved_bytes: int | None = None
    kv_used_bytes: int | None = None
    peak_memory_bytes: int | None = None
    rss_bytes: int | None = None
    max_logit_error: float | None = None
    tokens_equal: bool | None = None
    roles: dict[str, dict[str, int]] | None = None


def write_json(path: Path, content: Any) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
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
        for stale in ("cell.json", "arms.json"):  # of an earlier run into the same folder
            (self.dir / stale).unlink(missing_ok=True)
        (self.dir / "rounds.jsonl").write_text("")

    def cell(self, content: dict[str, Any]) -> None:
        """The cell and what is known before anything runs."""
        write_json(self.dir / "cell.json", content)

    def arms(self, facts: list[ArmFacts]) -> None:
        """Every arm's facts: the last thing written, so that a cell without them did not come to an end."""
        write_json(self.dir / "arms.json", [asdict(fact) for fact in facts])

    def round(self, done: Round) -> None:
        """One finished round."""
        with (self.dir / "rounds.jsonl").open("a") as file:
            file.write(json.dumps(asdict(done)) + "\n")


@dataclass(frozen=True)
class CellResult:
    """What one cell's folder holds."""

    id: str
    cell: dict[str, Any]
    arms: list[ArmFacts]
    rounds: list[Round]


def _rounds(path: Path) -> Iterator[Round]:
    """A killed run may leave half a line at the end: it is no finished round, and is left out."""
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines, 1):
        if not line and number == len(lines):
            return
        try:
            yield Round(**json.loads(line))
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
    if run["schema"] != SCHEMA:
        raise ResultsError(f"{run_dir} has schema {run['schema']}, this version reads {SCHEMA}; run again")
    results = []
    for cell_id in (planned["id"] for planned in run["plan"]):
        folder = run_dir / "cells" / cell_id
        if (folder / "cell.json").exists() and (folder / "arms.json").exists():
            try:
                arms = [ArmFacts(**entry) for entry in read_json(folder / "arms.json")]
            except TypeError as error:
                raise ResultsError(f"{folder / 'arms.json'} is not of schema {SCHEMA} ({error}); run again") from None
            rounds = list(_rounds(folder / "rounds.jsonl"))
            results.append(CellResult(cell_id, read_json(folder / "cell.json"), arms, rounds))
    return results
