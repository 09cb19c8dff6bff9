"""The two runs of a comparison, refused where machine or settings differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..comparisons import end_to_end_s
from ..config import ConfigError
from ..files import ResultsError, read_json
from ..results import read_cells
from ..table import read_tables

CASE = ["model", "device", "dtype", "threads", "batch_size", "src_len", "tgt_len", "stop", "seed", "strategy"]
"""What two rows must agree in to be the same case."""
MACHINE = ("cpu", "cpu_capability", "cores", "gpu")


@dataclass(frozen=True)
class RunRead:
    """One run: where, its case table indexed by ``CASE``, its machine, and its counted rounds where they are kept."""

    path: Path
    table: pd.DataFrame
    environment: dict[str, Any]
    e2e_s: dict[tuple[Any, ...], list[float]]

    @property
    def machine(self) -> dict[str, Any]:
        """What decides how fast a run is, besides its settings."""
        return {name: self.environment.get(name) for name in MACHINE}


def read_run(path: Path) -> RunRead:
    """Read tables, environment and rounds. Raises ResultsError."""
    table, _ = read_tables(path)
    environment = read_json(path / "environment.json")
    if not isinstance(environment, dict):
        raise ResultsError(f"{path / 'environment.json'} is no environment of a run; the file is damaged or foreign")
    indexed = table.set_index(CASE, drop=False)
    if indexed.index.has_duplicates:
        raise ResultsError(f"{path / 'table.csv'} has a case twice; the file is damaged or foreign")
    return RunRead(path, indexed, environment, _totals(path, indexed))


def _totals(path: Path, table: pd.DataFrame) -> dict[tuple[Any, ...], list[float]]:
    """End-to-end seconds of every counted round, for cases whose raw rounds are still there."""
    if not (path / "cells").is_dir():
        return {}
    rounds = {cell.id: cell.rounds for cell in read_cells(path)}
    found: dict[tuple[Any, ...], list[float]] = {}
    for row in table.to_dict("records"):
        times = end_to_end_s(rounds.get(row["cell"], []), row["strategy"])
        found[tuple(row[name] for name in CASE)] = list(times.values())
    return found


def require_comparable(a: RunRead, b: RunRead, across_machines: bool) -> list[str]:
    """Notes on what differs and is allowed to. Raises ConfigError for other machines or no case in common."""
    different = [name for name in MACHINE if a.machine[name] != b.machine[name]]
    if different and not across_machines:
        said = ", ".join(f"{name} {a.machine[name]} and {b.machine[name]}" for name in different)
        raise ConfigError(
            f"compare: the runs are of different machines ({said}); --across-machines compares what does not depend "
            "on the machine's speed"
        )
    both = a.table.index.intersection(b.table.index)
    if both.empty:
        settings = [c for c in CASE if set(a.table[c]).isdisjoint(b.table[c])]
        said = ", ".join(f"{c} {_values(a.table[c])} and {_values(b.table[c])}" for c in settings) or "no case in both"
        raise ConfigError(f"compare: the runs share no case ({said}); compare runs of the same settings")
    notes = [
        f"{len(x.table.index.difference(y.table.index))} cases are in {x.path} alone"
        for x, y in ((a, b), (b, a))
        if len(x.table.index.difference(y.table.index))
    ]
    versions = [x.environment.get("versions", {}) for x in (a, b)]
    changed = sorted(n for n in versions[0].keys() & versions[1].keys() if versions[0][n] != versions[1][n])
    if changed:
        notes.append("versions differ: " + ", ".join(f"{n} {versions[0][n]} -> {versions[1][n]}" for n in changed))
    return notes


def _values(column: pd.Series[Any]) -> str:
    return "/".join(map(str, dict.fromkeys(column)))
