"""The history of a case: one row per run, with what changed at each run, and the changes of level per hardware."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ..judging.change_points import LEVEL, ChangePoint, change_points, fewest
from ..settings.config import ConfigError
from ..store.files import ResultsError
from .case import Chosen, Key, choose, measured, why_without
from .runs import UNKNOWN, PastRun, hardware_of, machine_of

QUANTITIES = ("e2e_ratio", "e2e_s", "itl_s")
"""What is followed: end-to-end time over that of the baseline in the same rounds, end-to-end time, and the time of a
step (seconds, medians over rounds)."""
COLUMNS = [
    "run", "started", "commit", "uncommitted_changes", "software", "hardware", "cell", "model", "batch_size", "src_len",
    "tgt_len", "strategy", "baseline", "rounds", "disturbed_by", "remark", "e2e_ratio", "e2e_ratio_low",
    "e2e_ratio_high", "e2e_s", "itl_s", "since",
    *(f"{name}_change{end}" for name in QUANTITIES for end in ("", "_low", "_high", "_p")),
]  # fmt: skip
"""Columns of history.csv. ``software``: versions, driver and system. ``since``: which software differs
from the run before on this hardware. ``X_change``: at the first run of a new level, the level of X over the one before,
its 95 % interval and the p-value of the test; empty at other runs."""
PACKAGES = ("torch", "decodebench", "python")
"""Versions that are named first; the others follow where they changed."""
OLD = "older version"
"""Remark on a run that does not say whether its cells were disturbed."""
Series = tuple[str, str]
"""Hardware and quantity."""


@dataclass(frozen=True)
class History:
    """The rows of a case (``COLUMNS``), by hardware and date, the changes of each series, and what was left out.

    ``level`` is the chance of any false change in all series together, ``level_each`` that of a single one.
    ``series`` maps each to the number of its values; ``changes`` has those that were long enough to be tested.
    """

    chosen: Chosen
    rows: pd.DataFrame
    level: float
    level_each: float
    series: Mapping[Series, int]
    changes: Mapping[Series, list[ChangePoint]]
    notes: list[str] = field(default_factory=list)

    @property
    def hardware(self) -> list[str]:
        """Each kind of hardware, that with the most runs first."""
        return [str(name) for name in self.rows["hardware"].value_counts(sort=False).sort_values(
            ascending=False, kind="stable").index]  # fmt: skip

    def of(self, hardware: str) -> pd.DataFrame:
        """The rows of one kind of hardware, by date."""
        return self.rows[self.rows["hardware"] == hardware].reset_index(drop=True)


def make_history(
    runs: Sequence[PastRun], cell: str | None, strategy: str | None, undisturbed: bool = False, level: float = LEVEL
) -> History:
    """Make the history of a case. ``level`` is the chance of any false change in all series together.

    ``undisturbed`` leaves out the runs whose cell was disturbed. Raises ConfigError if there is no such case.
    """
    runs = sorted(runs, key=lambda run: (run.started, str(run.path)))
    chosen = choose(runs, cell, strategy)
    rows, notes = [], []
    before: dict[str, dict[str, str]] = {}
    for run in runs:
        found = measured(run).get(chosen.key)
        if found is None:
            notes.append(f"{run.path} is left out: {why_without(run, chosen)}")
        elif undisturbed and _text(found["disturbed_by"]):
            notes.append(f"{run.path} is left out: its cell was disturbed ({found['disturbed_by']})")
        else:
            try:
                row, software = _row(run, chosen.key, found)
            except ResultsError as error:
                notes.append(f"{run.path} is left out: {error}")
                continue
            rows.append(row | {"since": _since(before.get(row["hardware"], {}), software)})
            before[row["hardware"]] = software
    if not rows:
        raise ConfigError(f"history: none is left of {chosen.count} runs that measured {chosen.name}; {notes[0]}")
    table = pd.DataFrame(rows, columns=COLUMNS)
    notes += _one_baseline(table)
    return _with_changes(chosen, table, level, notes)


def _row(run: PastRun, key: Key, found: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The row of a run, without its changes, and the versions of its software by name."""
    machine = machine_of(run, found)
    software = _software(machine, found["device"])
    named = [name for name in (*PACKAGES, "driver") if name in software]
    row = {
        **{name: found[name] for name in COLUMNS if name in found},
        "run": str(run.path),
        "started": run.started.isoformat(timespec="seconds"),
        "commit": _text(machine.get("commit")),
        "uncommitted_changes": {True: "yes", False: "no", None: ""}[machine.get("uncommitted_changes")],
        "software": ", ".join(f"{name} {software[name]}" for name in named),
        "hardware": hardware_of(found, machine),
        "remark": OLD if run.is_old else "",
        "cell": key[0],
        "disturbed_by": _text(found["disturbed_by"]),
    }
    return row, software


def _software(machine: Mapping[str, Any], device: str) -> dict[str, str]:
    """Versions of packages, then of CUDA's driver and of the system, as far as they are known."""
    versions = machine.get("versions") or {}
    names = [*(name for name in PACKAGES if name in versions), *sorted(set(versions) - set(PACKAGES))]
    driver = (machine.get("gpu") or {}).get("driver") if device == "cuda" else None
    rest = {"driver": driver, "system": machine.get("os")}
    return {name: versions[name] for name in names} | {name: text for name, text in rest.items() if text}


def _since(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What differs from the run before: "torch 2.13.0 -> 2.14.0, driver 580.1 -> 590.2"; "" where nothing does."""
    apart = [name for name in after if before.get(name, after[name]) != after[name]]
    return ", ".join(f"{name} {before[name]} -> {after[name]}" for name in apart)


def _one_baseline(table: pd.DataFrame) -> list[str]:
    """Empty the ratios to any baseline but the most frequent one, and those of the baseline itself; say so."""
    base = str(table["baseline"].mode().iloc[0])
    other = (table["baseline"] != base) & table["e2e_ratio"].notna()
    table.loc[other | (table["strategy"] == base), ["e2e_ratio", "e2e_ratio_low", "e2e_ratio_high"]] = math.nan
    return [
        f"{row['run']}: its ratio is to {row['baseline'] or 'no baseline'}, not to {base}, and is left out"
        for row in table[other].to_dict("records")
    ]


def _with_changes(chosen: Chosen, table: pd.DataFrame, level: float, notes: list[str]) -> History:
    """Find the changes of each series that is long enough, and write them into the table."""
    known = table[table["hardware"] != UNKNOWN]
    series = {
        (str(hardware), name): int(rows[name].gt(0).sum())
        for hardware, rows in known.groupby("hardware", sort=False)
        for name in QUANTITIES
        if rows[name].notna().any()
    }
    tested = [one for one, count in series.items() if count >= fewest(level)]
    each = level / max(len(tested), 1)
    changes: dict[Series, list[ChangePoint]] = {}
    for hardware, name in tested:
        if series[hardware, name] < fewest(each):
            continue
        rows = known[(known["hardware"] == hardware) & known[name].gt(0)]
        changes[hardware, name] = change_points(rows[name].tolist(), each)
        for change in changes[hardware, name]:
            names = [f"{name}_change{end}" for end in ("", "_low", "_high", "_p")]
            table.loc[rows.index[change.at], names] = [change.factor, change.low, change.high, change.p]
    return History(chosen, table, level, each, series, changes, notes)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
