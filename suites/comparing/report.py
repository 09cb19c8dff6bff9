"""What ``compare`` prints: for people, as Markdown, or as data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ..console import standard_output
from ..markdown import pipe_table
from ..summary import quantity
from .runs import RunRead

UNPAIRED = (
    "No round of one run was paired with one of the other. ratio: end to end over the baseline of the same run, so "
    "what slows a whole run cancels. change: second over first, with its 95 % interval (Welch). time: raw, unpaired, "
    "and only as comparable as the two moments were; times the GB/s that a streaming read reached in the same rounds, "
    "the machine's own drift divides out."
)
UNITS = {"flops": "FLOPs", "bytes": "B", "s": "s"}


def print_comparison(a: RunRead, b: RunRead, found: pd.DataFrame, notes: Sequence[str], form: str) -> None:
    """Print to standard output."""
    if form == "csv":
        sys.stdout.write(found.to_csv(index=False))
        return
    if form == "json":
        sys.stdout.write(found.to_json(orient="records", indent=1) + "\n")
        return
    lines = [f"{a.path} -> {b.path}", *notes]
    if form == "md":
        parts = ["  \n".join(lines), pipe_table(HEADER, lines_of(found)), UNPAIRED, conclusion(found)]
        sys.stdout.write("\n\n".join(parts) + "\n")
        return
    console = standard_output()
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    console.print()
    console.print(_table(found))
    console.print(Text(UNPAIRED, style="dim"))
    console.print()
    console.print(Text(conclusion(found), style="bold"))


HEADER = ("case", "strategy", "figure", "first", "second", "change", "verdict")


def lines_of(found: pd.DataFrame) -> list[tuple[str, ...]]:
    """Rows of text: every ratio and time, and of deterministic figures those that changed."""
    shown = found[(found["kind"] != "deterministic") | (found["verdict"] != "same")]
    return [
        (
            f"{row['model']} b{row['batch_size']} {row['src_len']}->{row['tgt_len']}",
            row["strategy"],
            {"e2e_ratio": "ratio", "e2e_s": "time, unpaired", "e2e_calibrated_gb": "time x GB/s read"}.get(
                row["figure"], row["figure"]
            ),
            _value(row["figure"], row["a"]),
            _value(row["figure"], row["b"]),
            _change(row),
            "" if pd.isna(row["verdict"]) else f"{row['verdict']}{' !' if row['gate'] == 'yes' else ''}",
        )
        for row in shown.to_dict("records")
    ]


def _value(figure: str, value: float) -> str:
    if pd.isna(value):
        return ""
    unit = UNITS.get(figure.rpartition("_")[2])
    return quantity(value, unit) if unit else f"{value:.3f}"


def _change(row: dict[Any, Any]) -> str:
    if pd.isna(row["change"]):
        return ""
    interval = "" if pd.isna(row["change_low"]) else f" [{row['change_low']:.3f}, {row['change_high']:.3f}]"
    return f"{row['change']:.3f}{interval}"


def conclusion(found: pd.DataFrame) -> str:
    """One sentence: what fails the comparison, or that nothing does."""
    exact = found[found["kind"] == "deterministic"]
    bad = found[found["gate"] == "yes"]
    same = f"{int((exact['verdict'] == 'same').sum())} of {len(exact)} deterministic figures are the same"
    if bad.empty:
        return f"{same}; no figure grew, and no ratio worsened beyond the margin with confidence."
    worst = [f"{row['strategy']} {row['figure']} {row['verdict']}" for row in bad.head(5).to_dict("records")]
    more = f", and {len(bad) - 5} more" if len(bad) > 5 else ""
    return f"{same}; worse: {'; '.join(worst)}{more}."


def _table(found: pd.DataFrame) -> Table:
    out = Table(box=None, padding=(0, 1, 0, 0))
    for name in HEADER:
        out.add_column(name, justify="right" if name in ("first", "second", "change") else "left", overflow="fold")
    for cells in lines_of(found):
        out.add_row(*map(Text, cells), style="bold red" if cells[-1].endswith("!") else "")
    return out
