"""The ranked tables of a run: the strategies of each cell by time, with their speedup over the baseline."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ..tables.columns import SPEED
from ..tables.exactness import is_exact
from ..tables.executions import by_execution
from ..tables.groups import groups, hardware_named, order_of
from ..words.comparison import Compared, baseline_told, spoken
from ..words.quality import is_approximate, quality
from ..words.quantity import quantity
from ..words.search_told import sizes_told
from ..words.settings_told import changed_settings
from .advice.approximate import exact_error
from .sparkline import sparkline
from .stopped import status_told

COLUMNS = ("ms/token", "tokens/s", "speedup", "KV cache", "peak")
DROPPED = ("rounds", "peak", "tokens/s")
"""Columns that a narrow terminal has no room for, the first to be left out first."""
Rounds = Mapping[tuple[str, str], Sequence[float]]
"""End-to-end times of the rounds of a case, by (cell, strategy)."""


def rankings(table: pd.DataFrame, width: int = 100, rounds: Rounds | None = None) -> Iterator[Table]:
    """Yield the ranked table of each group (``tables.groups``); two where strategies were executed in several ways.

    Approximate strategies stand below the others of their cell, with what they lose beside their times.

    ``width`` is that of the terminal, in characters. ``rounds`` adds a picture of the rounds of each case. Cells whose
    times something may have spoiled (``disturbed_by``) have a mark.
    """
    for rows in groups(table):
        for compared, part in by_execution(rows):
            title = " · ".join(filter(None, (title_of(rows, table), compared)))
            yield _ranking(part, title, width, rounds or {})


def title_of(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Describe what ``rows``, one group of ``table``, have in common; hardware, stop, seed if there are several."""
    case = rows.iloc[0]
    threads = f", {case['threads']} {'thread' if case['threads'] == 1 else 'threads'}"
    stop = f", until {case['stop']}" if table["stop"].nunique() > 1 else ""
    seed = f", seed {case['seed']}" if table["seed"].nunique() > 1 else ""
    machine = hardware_named(case, table)
    where = f"{case['device']}{threads if case['device'] == 'cpu' else ''}{f', {machine}' if machine else ''}"
    kernels = "".join(f", {text}" for text in changed_settings(case))
    return f"{case['model']} on {where}, {case['dtype']}{kernels}{stop}{seed}"


def _ranking(group: pd.DataFrame, title: str, width: int, rounds: Rounds) -> Table:
    names = ["strategy", *COLUMNS, *(["rounds"] if rounds else [])]
    if not is_exact(group).all():
        names.insert(names.index("speedup") + 1, "quality")
    blocks: list[tuple[dict[str, str], list[dict[str, str]]]] = []
    for _, cell in group.groupby(order_of(group)):
        lines = []
        ordered = cell.assign(_last=~is_exact(cell)).sort_values(["_last", *SPEED], na_position="last", kind="stable")
        rows = ordered.drop(columns="_last").to_dict("records")
        for row in rows:
            line = dict.fromkeys(names, "") | dict(zip(("strategy", *COLUMNS), ranked(row), strict=False))
            line |= {"strategy": spoken(row["strategy"]), "quality": _quality(row, exact_error(rows))}
            line["rounds"] = sparkline(rounds.get((row["cell"], row["strategy"]), ()))
            lines.append(line)
        mark = "!" if (cell["disturbed_by"] != "").any() else ""
        place = dict.fromkeys(names, "") | {"strategy": sizes_told(cell.iloc[0]), names[1]: mark}
        blocks.append((place, lines))
    base = baseline_told(group["baseline"])
    heads = {name: f"speedup over {base}" if name == "speedup" and base else name for name in names}
    lines = [line for _, lines in blocks for line in lines]
    shown, widths = _fitting(heads, [*lines, *(place for place, _ in blocks)], width)
    out = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name, head in shown.items():
        left = name in ("strategy", "speedup", "quality", "rounds")
        out.add_column(head, justify="left" if left else "right", no_wrap=True, min_width=widths[name])
    for place, lines in blocks:
        out.add_row()
        out.add_row(*(Text(place[name], style="bold") for name in shown))
        for line in lines:
            out.add_row(*(line[name] for name in shown))
    return out


def _fitting(
    heads: Mapping[str, str], lines: Sequence[Mapping[str, str]], width: int
) -> tuple[dict[str, str], dict[str, int]]:
    """The heads of the columns that have room in ``width`` characters, and the width of each column.

    First the head of the speedup is shortened, then columns of ``DROPPED`` are left out.
    """
    shown = dict(heads)

    def widths() -> dict[str, int]:
        return {name: max([len(head), *(len(line[name]) for line in lines)]) for name, head in shown.items()}

    for name in ("speedup", *DROPPED):
        if sum(widths().values()) + 2 * (len(shown) - 1) > width and name in shown:
            shown[name] = name
            if name in DROPPED:
                del shown[name]
    return shown, widths()


def below(table: pd.DataFrame) -> str:
    """The line below the ranked tables: what the marks in them mean, and where the rest is explained."""
    rows = table[table["status"] == "ok"].to_dict("records")
    speedups, told = list(map(_speedup, rows)), []
    if any(speedup.endswith("?") for speedup in speedups):
        told.append("?: the rounds do not decide.")
    if any(row["disturbed_by"] for row in rows):
        told.append("!: disturbed, advice.txt says by what.")
    adjusted = any("[" in speedup for speedup in speedups)
    told.append(f"Speedups are end to end{', their intervals adjusted for all comparisons' * adjusted}: run --legend")
    return " ".join(told)


def ranked(row: Mapping[Hashable, Any], error: float = math.nan) -> list[str]:
    """Make a row of the ranked table: the strategy, and its figures under ``COLUMNS`` or the status of a failure.

    The quality of an approximate strategy stands beside its name. ``error`` is the phoneme error of the exact
    strategies of its cell, NaN where it is not known.
    """
    name = spoken(row["strategy"])
    if is_approximate(row) and row["status"] == "ok":
        name += f" ({_quality(row, error)})"
    if row["status"] != "ok":
        return [name, status_told(row)]
    return [
        name,
        "" if pd.isna(row["tpot_s"]) else f"{row['tpot_s'] * 1e3:.3g}",
        "" if pd.isna(row["throughput_tokens_per_s"]) else f"{row['throughput_tokens_per_s']:,.0f}",
        _speedup(row),
        quantity(row["kv_reserved_bytes"], "B"),
        quantity(row["peak_memory_bytes"], "B"),
    ]


def _quality(row: Mapping[Hashable, Any], error: float) -> str:
    """Say that a measured case is exact, or what it loses; "" for contenders and for cases without a time."""
    if row["status"] != "ok":
        return ""
    return f"approximate: {quality(row, error)}" if is_approximate(row) else "exact" if row.get("exact") == 1 else ""


def _speedup(row: Mapping[Hashable, Any]) -> str:
    """Speedup over the baseline with its interval, and a "?" where the rounds do not decide."""
    if row["strategy"] == row["baseline"]:
        return "1x"
    if pd.isna(row["e2e_ratio"]):
        return ""
    found = Compared.of(row)
    return found.speedup if found.is_decided else f"{found.speedup} ?"
