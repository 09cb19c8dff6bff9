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

    ``status`` invalid: it disagrees with the oracle. ``tokens``: decode steps taken; ``real_tokens``: those up to each
    row's end.
    """

    strategy: str
    spec: str
    status: Status
    reason: str = ""
    setup_s: float | None = None
    steps: int | None = None
    real_tokens: int | None = None
    kv_reserved_bytes: int | None = None
    kv_used_bytes: int | None = None
    peak_memory_bytes: int | None = None
    rss_bytes: int | None = None
    max_logit_error: float | None = None
    tokens_equal: bool | None = None


def write_json(path: Path, content: Any) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1, default=str) + "\n")
    part.replace(path)


def read_json(path: Path) -> Any:
    """The content of a JSON file of a run folder. Raises ResultsError."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ResultsError(f"{path} does not exist; give a folder that `run` wrote, such as results/latest") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} is not readable as JSON ({error}); the file is damaged or foreign") from None


class CellWriter:
    """Writes one cell's folder. Rounds are appended whole lines at a time: a killed run keeps the finished ones."""

    def __init__(self, run_dir: Path, cell_id: str) -> None:
        self.dir = run_dir / "cells" / cell_id
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "rounds.jsonl").write_text("")

    def cell(self, content: dict[str, Any]) -> None:
        """The cell and what is known before anything runs."""
        write_json(self.dir / "cell.json", content)

    def arms(self, facts: list[ArmFacts]) -> None:
        """Every arm's facts."""
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
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            yield Round(**json.loads(line))
        except (json.JSONDecodeError, TypeError) as error:
            raise ResultsError(f"{path} line {number} is not a round ({error}); remove it to read the others") from None


def read_cells(run_dir: Path) -> list[CellResult]:
    """Every cell of a run, in the plan's order. Raises ResultsError."""
    run = read_json(run_dir / "run.json")
    if run.get("schema") != SCHEMA:
        raise ResultsError(f"{run_dir} has schema {run.get('schema')}, this version reads {SCHEMA}; run again")
    results = []
    for cell_id in (planned["id"] for planned in run["plan"]):
        folder = run_dir / "cells" / cell_id
        if (folder / "cell.json").exists() and (folder / "arms.json").exists():
            arms = [ArmFacts(**entry) for entry in read_json(folder / "arms.json")]
            rounds = list(_rounds(folder / "rounds.jsonl"))
            results.append(CellResult(cell_id, read_json(folder / "cell.json"), arms, rounds))
    return results
