"""What ``history`` prints: what changed and since when, then the runs by hardware; or data for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

import pandas as pd
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..store.files import finite
from ..store.frame import as_csv
from ..words.comparison import precise
from ..words.console import standard_output
from ..words.quantity import counted, quantity
from .history import QUANTITIES, History
from .told import assurance, commit_of, date_of, quantity_names, sentences

MOST_ROWS = 40
"""Runs of one kind of hardware that the terminal shows, the newest; history.csv has all."""
SHORT = dict(zip(QUANTITIES, ("ratio", "time", "step"), strict=True))
"""Names of the quantities in the last column."""


def print_history(history: History, form: str) -> None:
    """Print to standard output. With csv, which has no room for them, notes go to standard error."""
    if form == "csv":
        sys.stdout.write(as_csv(history.rows))
        sys.stderr.write("".join(f"decodebench: {note}\n" for note in history.notes))
        return
    if form == "json":
        sys.stdout.write(json.dumps(finite(_content(history)), indent=1, allow_nan=False) + "\n")
        return
    console = standard_output()
    console.print(Text(_headline(history), style="bold"))
    if history.chosen.others:  # nothing was asked for
        console.print(Text(f"Most runs measured this case. Others: {history.chosen.others}", style="dim"))
    for note in history.notes:
        console.print(Text(note))
    for hardware in history.hardware:
        _print_hardware(console, history, hardware)
    if history.rows["uncommitted_changes"].eq("yes").any():
        console.print(Text("+ behind a commit: there were changes that were not committed", style="dim"))
    if history.changes:
        console.print()
        console.print(Text(assurance(history), style="dim"))


def _content(history: History) -> dict[str, Any]:
    return {
        "cell": history.chosen.key[0],
        "strategy": history.chosen.key[1],
        "notes": history.notes,
        "level": history.level,
        "conclusions": {hardware: list(sentences(history, hardware)) for hardware in history.hardware},
        "rows": history.rows.to_dict("records"),
    }


def _headline(history: History) -> str:
    kinds = len(history.hardware)
    on = f"{kinds} kinds of" if kinds > 1 else "one kind of"
    return f"{history.chosen.name}: {counted(len(history.rows), 'run')} on {on} hardware"


def _print_hardware(console: Console, history: History, hardware: str) -> None:
    """Print what changed on one kind of hardware, then its runs. A run at which a level begins is marked and coloured.

    "~" stands behind a date where the cell was disturbed.
    """
    rows = history.of(hardware)
    console.print()
    console.print(Text(f"{hardware} ({counted(len(rows), 'run')})", style="bold"))
    for sentence in sentences(history, hardware):
        console.print(Padding(Text(sentence), (0, 0, 0, 2), expand=False))
    console.print(_table(history, rows))
    if len(rows) > MOST_ROWS:
        console.print(Text(f"{counted(len(rows) - MOST_ROWS, 'run')} before these are in history.csv", style="dim"))
    if disturbed := int(rows["disturbed_by"].ne("").sum()):
        told = f"~ {disturbed} of {counted(len(rows), 'run')}: the cell was disturbed (history.csv says by what)"
        console.print(Text(f"{told}; --undisturbed leaves them out", style="dim"))
    if old := int(rows["remark"].ne("").sum()):
        told = f"{old} of {counted(len(rows), 'run')}: of an older version, which does not say what disturbed a cell"
        console.print(Text(told, style="dim"))


def _table(history: History, rows: pd.DataFrame) -> Table:
    """The newest runs of one kind of hardware, as narrow as 80 columns where each of them has a date of its own."""
    hours, ratios = rows["started"].str[:10].duplicated().any(), bool(rows["e2e_ratio"].notna().any())
    base = quantity_names(history)["e2e_ratio"].removeprefix("relative to ")
    out = Table(box=None, padding=(0, 1 if hours else 2, 0, 0), header_style="dim")
    speedup = [f"speedup over {base}"] if ratios else []
    for head in ("run (UTC)", "commit", *speedup, "end to end", "step", "new level"):
        right = head in ("end to end", "step")
        out.add_column(head, justify="right" if right else "left", no_wrap=not head.startswith("speedup"))
    for row in rows.tail(MOST_ROWS).to_dict("records"):
        begun = [name for name in QUANTITIES if pd.notna(row[f"{name}_change"])]
        date = date_of(row["started"]) if hours else row["started"][:10]
        times = [quantity(row["e2e_s"], "s"), quantity(row["itl_s"], "s")]
        date += " ~" * bool(row["disturbed_by"])
        cells = [
            date,
            commit_of(row),
            *map(_speedup, [row] * ratios),
            *times,
            _begun(begun),
        ]
        slower = any(row[f"{name}_change"] > 1 for name in begun)
        out.add_row(*map(Text, cells), style=("red" if slower else "green") if begun else "")
    return out


def _begun(begun: list[str]) -> str:
    """Which quantities have a new level from this run on: "< ratio, time", "< all"."""
    named = "all" if len(begun) == len(QUANTITIES) else ", ".join(SHORT[name] for name in begun)
    return f"< {named}" if begun else ""


def _speedup(row: dict[Any, Any]) -> str:
    if pd.isna(row["e2e_ratio"]):
        return ""
    told = f"{precise(1 / row['e2e_ratio'])}x"
    if pd.isna(row["e2e_ratio_low"]):
        return told
    ends = (precise(1 / row[f"e2e_ratio_{end}"]) for end in ("high", "low"))
    return f"{told} [{', '.join(ends)}]"
