"""Warnings that the cells of one run were measured on several kinds of hardware, or with several versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from ..store.cell_folder import CellResult
from ..store.environment_entries import EnvironmentEntry
from ..store.hardware import hardware_of
from ..tables.columns import KINDS
from ..tables.groups import NAME_MAX, hardware_known
from ..words.labels import plain, shortened
from ..words.quantity import counted

SHOWN = 4
"""Greatest number of kinds that a warning names."""
COMMIT_DIGITS = 10
START = "cells ran "
"""How each of these warnings begins."""
REMEDY = {
    True: "to have one kind from Slurm, give cluster.constraint or cluster.partition",
    False: "to have one kind, measure all on one machine",
}
"""What helps against several kinds of hardware, by whether jobs of Slurm measured the cells."""


def is_mixed(line: str) -> bool:
    """Whether a line of noise.json is one of these warnings."""
    return line.startswith(START)


def mixed_told(cells: Sequence[CellResult], table: pd.DataFrame, is_slurm: bool = False) -> list[str]:
    """One line with its remedy for each kind of hardware and each version in which measured cells of a run differ.

    ``is_slurm``: jobs of Slurm measured them.
    """
    measured = hardware_known(table)
    measured = measured[measured["status"] == "ok"].drop_duplicates("cell")
    environments = {cell.id: cell.environment or {} for cell in cells}
    kept = [environments[name] for name in measured["cell"] if name in environments]
    return [*dict.fromkeys(_hardware(measured, REMEDY[is_slurm])), *_versions(kept)]


def measured_on(table: pd.DataFrame, run: EnvironmentEntry) -> list[tuple[str, str]]:
    """Pairs of a name and the kinds of CPU or GPU that measured cells, where they are not the run's own.

    ``run`` is the environment in which the run was started.
    """
    own = hardware_of(run, "cuda")
    measured = table[table["status"] == "ok"].drop_duplicates("cell")
    told = []
    for column in KINDS:
        counts = Counter(filter(None, measured[column]))
        if counts.keys() - {own[column]}:
            told.append((f"{column.upper()} that measured cells", _listed(counts)))
    return told


def _hardware(cells: pd.DataFrame, remedy: str) -> Iterator[str]:
    for _, mine in cells.groupby("device", sort=False):
        for column in KINDS:
            kind = column.upper()
            counts = Counter(name or f"unknown {kind}" for name in mine[column])
            if len(counts) > 1:
                yield (
                    f"{START}on {len(counts)} kinds of {kind} ({_listed(counts)}); compare times only within one; "
                    f"{remedy}"
                )


def _versions(environments: Iterable[EnvironmentEntry]) -> Iterator[str]:
    found: Mapping[str, Counter[str]] = {name: Counter() for name in ("torch", "decodebench", "commit")}
    for environment in environments:
        versions = environment.get("versions", {})
        commit = (environment.get("commit") or "")[:COMMIT_DIGITS]
        for name, version in (*((name, versions.get(name)) for name in ("torch", "decodebench")), ("commit", commit)):
            if version:
                found[name][plain(version)] += 1
    for name, counts in found.items():
        if len(counts) > 1:
            what = f"{'commits' if name == 'commit' else f'versions of {name}'} ({_listed(counts)})"
            yield f"{START}with {len(counts)} {what}; compare times only within one, or run again with one"


def _listed(counts: Mapping[str, int]) -> str:
    """Name each kind with its number of cells: "A: 3 cells, B: 1 cell"."""
    names = shortened(list(counts), NAME_MAX)
    said = [f"{name}: {counted(n, 'cell')}" for name, n in zip(names, counts.values(), strict=True)]
    more = len(said) - SHOWN
    return ", ".join([*said[:SHOWN], *([f"{more} more"] if more > 0 else [])])
