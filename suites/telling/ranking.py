"""The ranked tables of a run: the strategies of each cell by time, with their ratio to the baseline."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ..tables.columns import GROUP
from ..tables.executions import by_execution
from ..words.quantity import quantity
from ..words.settings_told import changed_settings
from .advice.rows import interval

SHORT = {"faster": "faster", "slower": "slower", "indistinguishable": "same", "undecided": "?", "baseline": ""}
COLUMNS = ("total", "a step", "ratio", "verdict", "waste", "K/V", "peak")
WIDE = 88
"""Width of a terminal, in characters, from which on the ranked table has all of its columns."""


def rankings(table: pd.DataFrame, wide: bool = True) -> Iterator[Table]:
    """Yield the ranked table of each model and device; two tables where strategies were executed in several ways.

    ``wide`` adds the column K/V, for which a narrow terminal has no room.
    """
    for _, rows in table.groupby(GROUP, sort=False):
        for compared, part in by_execution(rows):
            yield _ranking(part, " · ".join(filter(None, (title_of(rows, table), compared))), wide)


def title_of(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Describe what ``rows``, one group of ``table``, have in common; stop and seed only if the table has several."""
    case = rows.iloc[0]
    threads = f", {case['threads']} {'thread' if case['threads'] == 1 else 'threads'}"
    stop = f", until {case['stop']}" if table["stop"].nunique() > 1 else ""
    seed = f", seed {case['seed']}" if table["seed"].nunique() > 1 else ""
    where = f"{case['device']}{threads if case['device'] == 'cpu' else ''}"
    kernels = "".join(f", {text}" for text in changed_settings(case))
    return f"{case['model']} on {where}, {case['dtype']}{kernels}{stop}{seed}"


def _ranking(group: pd.DataFrame, title: str, wide: bool) -> Table:
    out = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    out.add_column("strategy", overflow="fold")
    for column in COLUMNS:
        if wide or column != "K/V":
            out.add_column(column, justify="left" if column == "verdict" else "right", no_wrap=True)
    order = ["batch_size", "src_len", "tgt_len"]
    for (batch, source, target), cell in group.groupby(order):
        out.add_row()
        out.add_row(Text(f"batch {batch}, {source} -> {target}", style="bold"))
        for row in cell.sort_values("e2e_s", na_position="last").to_dict("records"):
            out.add_row(*ranked(row, wide))
    return out


def ranked(row: Mapping[Hashable, Any], wide: bool = True) -> list[str]:
    """Make a row of the ranked table: the strategy, and its figures under ``COLUMNS`` or the status of a failure."""
    if row["status"] != "ok":
        return [row["strategy"], row["status"]]
    base = row["strategy"] == row["baseline"]
    return [
        row["strategy"],
        quantity(row["e2e_s"], "s"),
        quantity(row["tpot_s"], "s"),
        f"{row['e2e_ratio']:.3f}" if base else interval(row, "e2e_ratio"),
        SHORT.get(row["e2e_verdict"], ""),
        "" if math.isnan(row["flops_waste"]) else f"{row['flops_waste']:.1f}x",
        *([quantity(row["kv_reserved_bytes"], "B")] if wide else []),
        quantity(row["peak_memory_bytes"], "B"),
    ]
