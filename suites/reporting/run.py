"""The page of one run, made from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..judging.verdict import MARGIN
from ..metrics import metrics
from ..plots import machine_of
from ..plots.view import View, views
from ..store.cell_folder import read_cell
from ..store.files import ResultsError, exists, is_folder, write_text
from ..store.schema import parsed_file, read_environment, read_run_entry
from ..tables.columns import GROUP, completed
from ..tables.role_table import read_roles
from ..tables.table_files import read_tables
from ..telling.advice import Section, advise
from ..telling.advice import memory as advice_memory
from ..telling.advice.rows import longest, timed
from ..telling.card import card
from ..telling.legend import legend
from ..telling.ranking import title_of
from ..telling.summary import equality_told, remarks
from .charts import Chart, charts_of
from .environment import environment_lines
from .html import render
from .ledger import Ledger, ledger_of
from .numbers import numbers
from .verdicts import HEADER, Verdicts, verdicts

NAME = "report.html"
SENTENCES_MAX = 40
"""Greatest number of sentences that the page shows of one part of the advice; advice.txt has all of them."""


@dataclass(frozen=True)
class Part:
    """What the page shows for one model on one device."""

    title: str
    lost: str
    answer: Sequence[str]
    charts: Mapping[str, Sequence[Chart]]
    verdicts: Sequence[Verdicts]
    legend: str
    advice: Sequence[Section]
    ledger: Ledger | None
    fits: Sequence[Section]


def write_report(run_dir: Path) -> Path:
    """Write report.html into a run folder. Raises ResultsError if the folder is no run, or has no tables yet."""
    if is_folder(run_dir / "cells") and not exists(run_dir / "table.csv"):
        raise ResultsError(f"{run_dir} was not finished; `plot {run_dir} --retable` makes its tables")
    table, steps = read_tables(run_dir)
    table = completed(table)
    kept = read_environment(run_dir)
    run: Mapping[str, Any] = {**read_run_entry(run_dir)} if exists(run_dir / "run.json") else {}
    parts = [
        _part(run_dir, view, table, str(run.get("command", "")))
        for view in views(table, steps, machine_of(run_dir), read_roles(run_dir, table))
    ]
    text = render(
        "run.html.jinja",
        numbers(table),
        title=_title(run, table),
        command=str(run.get("command", run_dir.name)),
        contents=_contents(parts),
        parts=parts,
        failed=_failed(table),
        header=HEADER,
        most=SENTENCES_MAX,
        beside="table.csv",
        environment=environment_lines(kept),
        equal=equality_told(table),
        warnings=[*_noises(run_dir), *remarks(table)],
        formulas=[(m.name, m.unit, m.better, m.formula) for m in metrics().values() if m.name in table],
    )
    write_text(run_dir / NAME, text)
    return run_dir / NAME


def _part(run_dir: Path, view: View, table: pd.DataFrame, command: str) -> Part:
    key = view.table.iloc[0][GROUP]
    rows = table[(table[GROUP] == key).all(axis=1)]
    advice = advise(rows)
    fits = advice_memory.sections(timed(rows))
    base = next(filter(None, rows["baseline"]), "")
    return Part(
        title_of(rows, table),
        _lost(view),
        card(rows, _noises(run_dir), command),
        charts_of(view),
        verdicts(rows),
        legend(base, _margin(run_dir, str(rows["cell"].iloc[0])), rows["e2e_beyond"].max()) if base else "",
        [section for section in advice if section not in fits],
        _ledger(run_dir, view),
        fits,
    )


def _lost(view: View) -> str:
    """Name the strategies that no plot of the view can show, with their status; "" if each has a measured case."""
    lost = [f"{name} ({told})" for name, told in view.broken.items() if name not in view.strategies]
    return f"In no plot: {', '.join(lost)}." if lost else ""


def _ledger(run_dir: Path, view: View) -> Ledger | None:
    """Make the ledger of the longest cell of the largest batch, with the baseline and the quickest strategy drawn.

    None if there is no such cell, its cell.json is not kept, or ``ledger_of`` cannot make a ledger.
    """
    ours = longest(view.table[view.table["executed_flops"].notna()])
    ours = ours[ours["batch_size"] == ours["batch_size"].max()]
    if ours.empty:
        return None
    kept = _cell(run_dir, str(ours["cell"].iloc[-1]))
    if not kept:
        return None
    ours = ours[ours["cell"] == ours["cell"].iloc[-1]].sort_values("e2e_s")
    ends = {str(ours["baseline"].iloc[0]), str(ours["strategy"].iloc[0])}
    labels = [s for s in view.strategies if s in set(ours["strategy"])]
    return ledger_of(kept, labels, [label for label in labels if label in ends])


def _margin(run_dir: Path, cell: str) -> float:
    return float(_cell(run_dir, cell).get("measure", {}).get("margin", MARGIN))


def _cell(run_dir: Path, cell: str) -> Mapping[str, Any]:
    """Read cell.json; an empty mapping if the folder of the cell is not kept."""
    folder = run_dir / "cells" / cell
    return read_cell(folder) if exists(folder / "cell.json") else {}


def _title(run: Mapping[str, Any], table: pd.DataFrame) -> str:
    models = list(dict.fromkeys(table["model"]))
    named = models[0] if len(models) == 1 else f"{len(models)} models"
    devices = " and ".join(dict.fromkeys(table["device"]))
    over = f" over {run['sweep']}" if run.get("sweep") else ""
    return f"Decoding strategies of {named} on {devices}{over}"


def _failed(table: pd.DataFrame) -> str:
    """Say how many cases have no times, and why the first has none."""
    bad = table[table["status"] != "ok"]
    if bad.empty:
        return ""
    first = bad.iloc[0]
    count = f"{len(bad)} of {len(table)} cases {'has' if len(bad) == 1 else 'have'} no times"
    return f"{count}; the first: {first['strategy']}, {first['status']}: {first['reason']}"


def _noises(run_dir: Path) -> list[str]:
    path = run_dir / "noise.json"
    lines: list[str] = parsed_file(list[str], path) if exists(path) else []
    return lines


def _contents(parts: Sequence[Part]) -> list[tuple[str, str]]:
    """Anchors of the page, and the titles of the sections that they lead to."""
    if len(parts) == 1:
        part = parts[0]
        shown = {
            "verdicts": part.verdicts,
            "plots": part.charts["plots"],
            "ledger": part.ledger,
            "roofline": part.charts["roofline"],
            "memory": part.charts["memory"] or part.fits,
        }
        there = [name for name, content in shown.items() if content]
        inside = [(f"section-{name}", name.capitalize()) for name in there]
    else:
        inside = [(f"part{i}", part.title) for i, part in enumerate(parts, 1)]
    rest = [("table", "Table"), ("environment", "Environment"), ("warnings", "Warnings"), ("formulas", "Formulas")]
    return [*inside, *rest]
