"""The page of one run, made from its folder."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ..judging.verdict import MARGIN
from ..metrics import metrics
from ..plots import quality, views_of
from ..plots.view import View
from ..store.cell_folder import read_cell, read_cells
from ..store.files import ResultsError, exists, is_folder, write_text
from ..store.schema import parsed_file, read_environment, read_run_entry
from ..tables.columns import SPEED, completed
from ..tables.exactness import is_exact
from ..tables.groups import groups
from ..tables.role_table import read_roles
from ..tables.table_files import read_tables
from ..telling.advice import Section, advise
from ..telling.advice import memory as advice_memory
from ..telling.advice.rows import largest, longest, timed
from ..telling.card import apart, card
from ..telling.legend import legend
from ..telling.mixed_told import is_mixed, measured_on
from ..telling.next_command import readable
from ..telling.ranking import title_of
from ..telling.stopped import reason_told
from ..telling.summary import equality_told, remarks
from ..telling.whole_file import whole_files_told
from .charts import Chart, Legend, charts_of, legend_of
from .environment import environment_lines
from .html import render
from .ledger import Ledger, ledger_of
from .numbers import numbers
from .tools import SIDES, cell_of_config, tools_of_cell
from .verdicts import HEADER, LEFT, Verdicts, verdicts

NAME = "report.html"
SENTENCES_MAX = 40
"""Greatest number of sentences that the page shows of one part of the advice; advice.txt has all of them."""


@dataclass(frozen=True)
class Part:
    """What the page shows for one model on one kind of hardware.

    ``card`` is the decision card, in lines of text and the command that each ends with. ``spoken`` says how well the
    output was pronounced, and ``explained`` what the columns of the verdicts mean.
    """

    title: str
    lost: str
    spoken: str
    card: Sequence[tuple[str, str]]
    legend: Legend
    charts: Mapping[str, Sequence[Chart]]
    verdicts: Sequence[Verdicts]
    explained: str
    advice: Sequence[Section]
    ledger: Ledger | None
    fits: Sequence[Section]


def write_report(run_dir: Path, is_open: bool = False, left: str = "") -> Path:
    """Write report.html into a run folder.

    ``is_open`` is as for ``card``, and ``left`` the line that says how to go on with a run of which something is left.
    Raises ResultsError if the folder is no run, or has no tables yet.
    """
    if is_folder(run_dir / "cells") and not exists(run_dir / "table.csv"):
        raise ResultsError(f"{run_dir} was not finished; `plot {run_dir} --retable` makes its tables")
    table, steps = read_tables(run_dir)
    table = completed(table)
    kept = read_environment(run_dir)
    run: Mapping[str, Any] = {**read_run_entry(run_dir)} if exists(run_dir / "run.json") else {}
    shown = list(views_of(run_dir, table, steps, read_roles(run_dir, table), swept=False))
    tools, noises = _tools(run_dir, shown), _noises(run_dir)
    decide = partial(card, noises=noises, command=str(run.get("command", "")), is_open=is_open)
    parts = [
        _part(run_dir, view, table, decide, str(at) if len(shown) > 1 else "", bool(tools))
        for at, view in enumerate(shown, 1)
    ]
    text = render(
        "run.html.jinja",
        numbers(table),
        title=_title(run, table),
        command=readable(str(run["command"])) if "command" in run else run_dir.name,
        contents=_contents(parts, bool(tools)),
        parts=parts,
        tools=tools,
        further=apart(left) if left else None,
        mixed=[line for line in noises if is_mixed(line)],
        failed=_failed(table),
        header=HEADER,
        left=LEFT,
        most=SENTENCES_MAX,
        beside="table.csv",
        approximate=not is_exact(table).all(),
        environment=[*environment_lines(kept), *measured_on(table, kept)],
        whole_files=_whole_files(run_dir, table, run),
        equal=equality_told(table),
        warnings=[*(line for line in noises if not is_mixed(line)), *remarks(table)],
        formulas=[(m.name, m.unit, m.better, m.formula) for m in metrics().values() if m.name in table],
    )
    write_text(run_dir / NAME, text)
    return run_dir / NAME


def _part(
    run_dir: Path,
    view: View,
    table: pd.DataFrame,
    decide: Callable[[pd.DataFrame], list[str]],
    at: str,
    calculated: bool,
) -> Part:
    """Make a part. ``decide`` writes the card of its rows, and ``at`` ends its ids.

    ``calculated`` says that the page calculates what fits in memory.
    """
    rows = next(rows for rows in groups(table) if view.table.index[0] in rows.index)
    advice = advise(rows)
    fits = advice_memory.sections(timed(rows))
    base = next(filter(None, rows["baseline"]), "")
    charts = charts_of(view)
    return Part(
        title_of(rows, table),
        _lost(view),
        quality.told(view),
        [apart(line) for line in decide(rows)],
        legend_of((chart for several in charts.values() for chart in several), f"legend{at}"),
        charts,
        verdicts(rows),
        legend(base, _margin(run_dir, str(rows["cell"].iloc[0])), rows["e2e_beyond"].max()) if base else "",
        [section for section in advice if section not in fits],
        _ledger(run_dir, view),
        [] if calculated else fits,
    )


def _whole_files(run_dir: Path, table: pd.DataFrame, run: Mapping[str, Any]) -> list[str]:
    """Lines on a file of texts as a whole, where the folder keeps the rounds of every planned cell."""
    if not (table["first_sentence"] > 0).any() or not is_folder(run_dir / "cells"):
        return []
    return whole_files_told(read_cells(run_dir), [entry["id"] for entry in run.get("plan", [])])


def _tools(run_dir: Path, shown: Sequence[View]) -> list[dict[str, Any]]:
    """Make the data of the slider and the memory calculator, for each model whose sizes the folder keeps."""
    found: dict[str, dict[str, Any]] = {}
    for view in shown:
        ours = longest(view.table[view.table["executed_flops"].notna()]).sort_values(SPEED, kind="stable")
        if ours.empty:
            continue
        last = largest(ours)
        labels = [s for s in view.strategies if s in set(ours["strategy"])]
        sides = [str(last["baseline"].iloc[0]), *map(str, last["strategy"])]
        kept = _described(run_dir, last.iloc[0].to_dict())
        data = tools_of_cell(kept, labels, [*sides[:1], *(s for s in sides[1:] if s != sides[0]), *SIDES])
        if data:
            found.setdefault(data["name"], data)
    return list(found.values())


def _lost(view: View) -> str:
    """Name the strategies that no plot of the view can show, with their status; "" if each has a measured case."""
    lost = [f"{name} ({told})" for name, told in view.broken.items() if name not in view.strategies]
    return f"In no plot: {', '.join(lost)}." if lost else ""


def _ledger(run_dir: Path, view: View) -> Ledger | None:
    """Make the ledger of the longest cell of the largest batch.

    None if there is no such cell, the folder does not say its model's sizes, or ``ledger_of`` cannot make a ledger.
    """
    ours = largest(view.table[view.table["executed_flops"].notna()])
    if ours.empty:
        return None
    kept = _described(run_dir, ours.iloc[-1].to_dict())
    if not kept:
        return None
    there = set(ours.loc[ours["cell"] == ours["cell"].iloc[-1], "strategy"])
    return ledger_of(kept, [label for label in view.strategies if label in there])


def _margin(run_dir: Path, cell: str) -> float:
    return float(_cell(run_dir, cell).get("measure", {}).get("margin", MARGIN))


def _described(run_dir: Path, row: Mapping[Hashable, Any]) -> Mapping[str, Any]:
    """Read the cell.json of a row's cell or, where it is not kept, what config.yaml says of it."""
    return _cell(run_dir, str(row["cell"])) or cell_of_config(run_dir, row)


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
    return f"{count}; the first: {first['strategy']}, {reason_told(first.to_dict())}"


def _noises(run_dir: Path) -> list[str]:
    path = run_dir / "noise.json"
    lines: list[str] = parsed_file(list[str], path) if exists(path) else []
    return lines


def _contents(parts: Sequence[Part], tools: bool) -> list[tuple[str, str]]:
    """Anchors of the page, and the titles of the sections that they lead to."""
    if len(parts) == 1:
        part = parts[0]
        shown = {
            "quality": part.charts["quality"],
            "verdicts": part.verdicts,
            "plots": part.charts["plots"],
            "roofline": part.charts["roofline"],
            "memory": part.charts["memory"] or part.fits,
            "ledger": part.ledger,
        }
        there = [name for name, content in shown.items() if content]
        inside = [(f"section-{name}", name.capitalize()) for name in there]
    else:
        inside = [(f"part{i}", part.title) for i, part in enumerate(parts, 1)]
    own = [("step", "One step"), ("fits", "What fits")] if tools else []
    rest = [("table", "Table"), ("warnings", "Warnings"), ("environment", "Environment"), ("formulas", "Formulas")]
    return [*inside, *own, *rest]
