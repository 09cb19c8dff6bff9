"""Read the two runs of a comparison, and refuse runs of different machines."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..settings.config import ConfigError
from ..store.cell_folder import CellResult, read_cells
from ..store.files import ResultsError, exists, is_folder
from ..store.schema import read_environment, read_run_entry
from ..tables.case_table import case_table
from ..tables.columns import KINDS, SETTINGS, SIZES
from ..tables.table_files import read_tables

CASE = [*SETTINGS, *SIZES, "strategy"]
"""Columns by which people tell cases apart. Cases that agree in them may still differ, in their sources for example."""
KEY = ["cell", "strategy"]
"""Columns that identify a case: the cell's id holds a hash of everything that the cell depends on."""
MACHINE = ("cpu", "cpu_capability", "cores")
GPU = ("name", "memory_bytes", "cuda")
"""Of a GPU: what every version writes. Its clocks at the start of a run are no property of the machine."""
Key = tuple[str, str]


@dataclass(frozen=True)
class RunRead:
    """One run: its folder, the rows of its case table by ``KEY``, its machine, its plan, and its raw cells.

    ``command``: the arguments that started it, without those that name a folder. ``plan``: the overrides of each cell,
    by cell id. ``cells``: results by cell id, empty if raw rounds are not kept.
    """

    path: Path
    rows: dict[Key, dict[str, Any]]
    environment: dict[str, Any]
    command: tuple[str, ...] = ()
    plan: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cells: Mapping[str, CellResult] = field(default_factory=dict)

    @property
    def machine(self) -> dict[str, Any]:
        """What decides how fast a run is, besides its settings."""
        gpu = self.environment.get("gpu")
        found = {name: self.environment.get(name) for name in MACHINE}
        return found | {"gpu": gpu and {name: gpu.get(name) for name in GPU}}


def read_run(path: Path) -> RunRead:
    """Read a run folder: tables made from its raw cells, or table.csv if none are kept. Raises ResultsError."""
    cells = read_cells(path) if is_folder(path / "cells") else []
    _require_rounds(path, cells)
    source = path / ("cells" if cells else "table.csv")
    environment = read_environment(path)
    table = case_table(cells, environment=environment) if cells else read_tables(path)[0]
    if table.duplicated(KEY).any():
        raise ResultsError(f"{source} has a case twice; the file is damaged or foreign")
    command, plan = _intended(path)
    records = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    rows = {(row["cell"], row["strategy"]): row for row in records}
    return RunRead(path, rows, {**environment}, command, plan, {cell.id: cell for cell in cells})


def _require_rounds(path: Path, cells: Sequence[CellResult]) -> None:
    """Raise ResultsError if a case that was measured has no round, as in a file that was cut off."""
    for cell in cells:
        counted = {done.strategy for done in cell.rounds if not done.warmup}
        for arm in cell.arms:
            if arm.status == "ok" and arm.strategy not in counted:
                rounds = path / "cells" / cell.id / "rounds.jsonl"
                raise ResultsError(f"{rounds} holds no round of {arm.strategy}, which was measured; run again")


def _intended(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """(command, plan) from run.json, both empty if there is none."""
    if not exists(path / "run.json"):
        return (), {}
    run = read_run_entry(path)
    try:
        tokens = shlex.split(run.get("command", ""))
    except ValueError as error:  # a quotation that does not end
        raise ResultsError(f"{path / 'run.json'} has no readable command ({error}); the file is damaged") from None
    plan = {entry["id"]: tuple(entry.get("overrides", ())) for entry in run["plan"]}
    return tuple(sorted(token for token in tokens if not token.startswith("hydra."))), plan


def _apart(a: RunRead, b: RunRead) -> list[str]:
    """Say for each pair of kinds of hardware how many cases of both runs were measured on these two."""
    counts: Counter[str] = Counter()
    for key in a.rows.keys() & b.rows.keys():
        first, second = ({name: run.rows[key][name] for name in KINDS} for run in (a, b))
        names = [name for name in KINDS if first[name] and second[name] and first[name] != second[name]]
        if names:
            counts[", ".join(f"{name} {first[name]} and {second[name]}" for name in names)] += 1
    return [f"{said}: {count} {'case' if count == 1 else 'cases'}" for said, count in sorted(counts.items())]


def require_comparable(a: RunRead, b: RunRead, across_machines: bool) -> list[str]:
    """Return notes on hardware and versions that differ. Raises ConfigError if the runs are of different machines."""
    different = [name for name in a.machine if a.machine[name] != b.machine[name]]
    apart = _apart(a, b)
    if (different or apart) and not across_machines:
        said = ", ".join(f"{name} {a.machine[name]} and {b.machine[name]}" for name in different) or "; ".join(apart)
        raise ConfigError(
            f"compare: the runs are of different machines ({said}); --across-machines compares what does not depend "
            "on the machine's speed"
        )
    versions = [x.environment.get("versions", {}) for x in (a, b)]
    changed = sorted(n for n in versions[0].keys() & versions[1].keys() if versions[0][n] != versions[1][n])
    said = ", ".join(f"{n} {versions[0][n]} -> {versions[1][n]}" for n in changed)
    told = [f"hardware differs ({one}): times are left out, and a ratio holds for its own hardware" for one in apart]
    return told + [f"versions differ: {said}"] * bool(said)
