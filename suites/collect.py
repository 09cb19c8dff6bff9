"""After the jobs: tables, plots, the closing summary, the link ``results/latest`` and the exit code."""

from __future__ import annotations

import os
from pathlib import Path

from .files import read_json, write_json, write_text
from .noise import told
from .results import read_cells
from .role_table import write_roles
from .summary import advice_lines, print_summary
from .table import write_tables
from .verdict import MARGIN


def collect(run_dir: Path, report: bool = True) -> int:
    """Turn a run's cells into tables, plots and a page, and say what came out; 1 if a case failed or is missing."""
    _, whole = tabulate(run_dir)
    if report:
        from .reporting.run import write_report

        print(f"report: {write_report(run_dir)}")
    _link_latest(run_dir)
    return 0 if whole else 1


def tabulate(run_dir: Path) -> tuple[list[Path], bool]:
    """The same without the link: (the plots' paths, whether every planned case was measured or skipped)."""
    cells = read_cells(run_dir)
    table, steps = write_tables(run_dir, cells)
    roles = write_roles(run_dir, cells)
    written = []
    if (table["status"] == "ok").any():
        from .plots import draw

        written = draw(run_dir, table, steps, roles)
    missing = len(read_json(run_dir / "run.json")["plan"]) - len(cells)
    noises, margins = told(cells), [cell.cell["measure"]["margin"] for cell in cells if "measure" in cell.cell]
    write_json(run_dir / "noise.json", noises)
    advice = list(advice_lines(table))
    write_text(run_dir / "advice.txt", "".join(f"{line}\n" for line in advice))
    print_summary(run_dir, table, written, missing, noises, advice, next(iter(margins), MARGIN))
    return written, missing == 0 and not table["status"].isin(["failed", "invalid"]).any()


def _link_latest(run_dir: Path) -> None:
    """Point ``latest`` beside the run folder at it, atomically; a file system without links, or a file of that name,
    goes without.
    """
    link = run_dir.parent / "latest"
    part = run_dir.parent / f".latest.{os.getpid()}"
    if link.exists() and not link.is_symlink():
        return
    try:
        part.symlink_to(run_dir.name)
        part.replace(link)
    except OSError:
        part.unlink(missing_ok=True)
