"""What follows the jobs of a run: tables, plots, the closing summary, the link ``results/latest``, the exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..judging.baseline import timed_s
from ..judging.noise import told
from ..judging.verdict import MARGIN
from ..store.cell_folder import RUNNING, CellResult, read_cells
from ..store.files import ResultsError, exists, lost, write_json, write_text
from ..store.folders import from_here
from ..store.locks import collect_lock, locked
from ..store.plan import NAME as PLAN
from ..store.schema import read_run_entry
from ..tables.model_names import checkpoints_told
from ..tables.role_table import write_roles
from ..tables.table_files import write_tables
from ..telling.blocks_told import blocks_told
from ..telling.card import cards
from ..telling.choices_told import float32_told, kernels_told, narrowing_told
from ..telling.isolated import isolated_told
from ..telling.mixed_told import mixed_told
from ..telling.search_told import moved_told, quality_told, ties_told
from ..telling.step_summary import markdown_summary, post
from ..telling.stopped import running_told, stopped_told
from ..telling.summary import advice_lines, print_summary
from ..telling.whole_file import whole_files_told
from .left_told import Left, left_of

if TYPE_CHECKING:
    import pandas as pd

COLLECTING_S = 60.0
"""Seconds to wait for another process that collects the same run."""


def collect(run_dir: Path, *, plots: bool = True, report: bool = True) -> int:
    """Turn a run's cells into tables, plots and a page, and print the summary.

    Returns the exit code: 1 if a case failed or is missing, else 0. Raises BusyError if another process collects it.
    """
    with collecting(run_dir):
        return _collect(run_dir, plots, report)


def collecting(run_dir: Path) -> contextlib.AbstractContextManager[None]:
    """The lock of whoever makes tables of a run; a run of an earlier version, to which nobody writes, has none.

    Raises BusyError if another process holds it for ``COLLECTING_S`` seconds.
    """
    if not exists(run_dir / PLAN):
        return contextlib.nullcontext()
    return locked(collect_lock(run_dir), f"{run_dir} is being collected by {{holder}}; try again later", COLLECTING_S)


def _collect(run_dir: Path, plots: bool, report: bool) -> int:
    try:
        found = tabulate(run_dir, plots)
    finally:  # even if the reader of standard output closes it early
        if exists(run_dir / "table.csv"):
            _link_latest(run_dir)
    post(markdown_summary(found.table, found.advice, found.margin))
    if report:
        from ..reporting.run import write_report

        try:
            print(f"report: {from_here(write_report(run_dir, found.left.is_open, found.left.command))}")
        except (OSError, KeyboardInterrupt, ResultsError):
            raise
        except Exception as error:  # the measurements are kept and have been printed
            print(f"decodebench: {lost(run_dir / 'report.error.txt', 'the report', error)}", file=sys.stderr)
            return 1
    return 0 if found.whole else 1


def require_no_loss(run_dir: Path, cells: Sequence[CellResult]) -> None:
    """Raise ResultsError if tables made from ``cells`` would hold fewer measured cases than the tables on disk."""
    if not exists(run_dir / "table.csv"):
        return
    kept, found = _kept(run_dir / "table.csv"), 0
    for result in cells:
        timed = {done.strategy for done in result.rounds if not done.warmup}
        # An arm whose job reached its time limit has its rounds still, and is failed by now.
        found += sum(arm.strategy in timed for arm in result.arms if arm.status == "ok" or result.conditions)
    if found < kept:
        raise ResultsError(
            f"{run_dir / 'table.csv'} holds {kept} measured cases, and {run_dir / 'cells'} only {found} of them: the "
            "table is kept; bring the raw rounds back, or remove table.csv to make one from what is left"
        )


def _kept(path: Path) -> int:
    """Number of measured cases in a table, whatever else is wrong with it; 1 if it cannot be read."""
    import pandas as pd

    try:
        return int((pd.read_csv(path, usecols=["status"])["status"] == "ok").sum())
    except (OSError, ValueError):
        return 1


@dataclass(frozen=True)
class Collected:
    """What was made from a run, and what is left of it; ``whole``: every case was measured or skipped."""

    plots: list[Path]
    table: pd.DataFrame
    advice: list[str]
    margin: float
    left: Left
    whole: bool


def tabulate(run_dir: Path, plots: bool = True) -> Collected:
    """Write the tables, the advice and, if ``plots``, the plots; print the summary."""
    left = left_of(run_dir)
    cells = read_cells(run_dir)
    require_no_loss(run_dir, cells)
    table, steps = write_tables(run_dir, cells)
    roles = write_roles(run_dir, cells)
    entry = read_run_entry(run_dir)
    command, planned = entry.get("command", ""), {one["id"] for one in entry["plan"]}
    running = left.running | {cell.id for cell in cells if any(arm.reason.startswith(RUNNING) for arm in cell.arms)}
    missing = len(planned - running - {cell.id for cell in cells})
    mixed = mixed_told(cells, table, entry.get("cluster", {}).get("kind") == "slurm")
    noises = [*mixed, *told(cells)]
    margins = [cell.cell["measure"]["margin"] for cell in cells if "measure" in cell.cell]
    notes = [
        *running_told(len(running)),
        *stopped_told(cells),
        *isolated_told(cells),
        *checkpoints_told(cells),
        *whole_files_told(cells, planned),
        *quality_told(cells),
        *moved_told(cells),
        *blocks_told(cells),
        *narrowing_told(cells),
        *float32_told(cells),
    ]
    decided = cards(table, noises, command, left.is_open)
    advice = list(advice_lines(table, decided, noises, [*notes, *ties_told(cells), *kernels_told(cells)], left.command))
    margin = next(iter(margins), MARGIN)
    rounds = {(done.id, label): [*times.values()] for done in cells for label, times in timed_s(done).items()}
    written: list[Path] = []
    undrawn: list[str] = []
    try:
        write_json(run_dir / "noise.json", noises)
        write_text(run_dir / "advice.txt", "".join(f"{line}\n" for line in advice))
        if plots and (table["status"] == "ok").any():
            from ..plots import draw

            written = draw(run_dir, table, steps, roles, undrawn.append)
    except OSError:  # the answer needs no disk
        print(f"decodebench: `plot {run_dir} --retable` and `report {run_dir}` finish this folder", file=sys.stderr)
        raise
    finally:
        warnings = [f"warning: {line}" for line in mixed]
        print_summary(run_dir, table, decided, written, missing, rounds, [*warnings, *notes], left.command)
    for line in undrawn:
        print(f"decodebench: {line}", file=sys.stderr)
    whole = not (missing or undrawn or table["status"].isin(["failed", "invalid"]).any())
    return Collected(written, table, advice, margin, left, left.is_whole and whole)


def _link_latest(run_dir: Path) -> None:
    """Point the link ``latest``, beside the run folder, at the run folder, atomically.

    Nothing happens on a file system without links, or if ``latest`` is a file of another kind.
    """
    link = run_dir.parent / "latest"
    part = run_dir.parent / f".latest.{os.getpid()}"
    if (link.exists() and not link.is_symlink()) or run_dir.name == link.name:
        return
    try:
        part.symlink_to(run_dir.name)
        part.replace(link)
    except OSError:
        part.unlink(missing_ok=True)
