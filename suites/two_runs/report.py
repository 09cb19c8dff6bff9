"""What ``compare`` prints: a table for people, Markdown, or data for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ..judging.baseline import BASELINE
from ..store.frame import as_csv
from ..words.console import standard_output
from ..words.markdown import pipe_table
from ..words.quantity import quantity
from .runs import RunRead

UNPAIRED = (
    "No round of one run was paired with one of the other. ratio: end to end over the baseline of the same run, so "
    "what slows a whole run alike cancels; two processes of the same code may still differ by some per cent for as "
    "long as they live, which no number of rounds shows: measure again before you believe a small change. change: "
    "second over first, with its 95 % interval (Welch), each for itself; verdicts by p-values that are adjusted over "
    "all ratios, or all gated times (Holm). time: raw, as comparable as the two moments were. time x read, time x "
    "GEMM: times the speed of a streaming read, of a product of matrices, in the same rounds; that takes the "
    "machine's drift out only as far as decoding drifts alike, and may add to it."
)
NAMES = {
    "e2e_ratio": "ratio",
    "e2e_s": "time, unpaired",
    "e2e_read_gb": "time x read, unpaired",
    "e2e_gemm_gflop": "time x GEMM, unpaired",
}
UNITS = {"flops": ("FLOPs", 1.0), "bytes": ("B", 1.0), "s": ("s", 1.0), "gb": ("bytes", 1e9), "gflop": ("FLOPs", 1e9)}
"""Last part of a figure's name -> its unit, and how many of these one is. A "gb" is 1e9 bytes, as in a rate."""


def print_comparison(a: RunRead, b: RunRead, found: pd.DataFrame, notes: Sequence[str], form: str) -> None:
    """Print to standard output. With csv, which has no room for notes, the notes go to standard error."""
    if form == "csv":
        sys.stdout.write(as_csv(found))
        sys.stderr.write("".join(f"{note}\n" for note in notes))
        return
    if form == "json":
        rows = json.loads(found.to_json(orient="records"))
        runs = {"first": str(a.path), "second": str(b.path)}
        content = {**runs, "notes": list(notes), "conclusion": conclusion(found), "rows": rows}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
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
    """Rows of text: every ratio and every time, and the deterministic figures that changed."""
    shown = found[(found["kind"] != "deterministic") | (found["verdict"] != "same")]
    return [
        (
            f"{row['model']} b{row['batch_size']} {row['src_len']}->{row['tgt_len']}",
            row["strategy"],
            NAMES.get(row["figure"], row["figure"]) + _to(row),
            _value(row["figure"], row["a"]),
            _value(row["figure"], row["b"]),
            _change(row),
            "" if pd.isna(row["verdict"]) else f"{row['verdict']}{' !' if row['gate'] == 'yes' else ''}",
        )
        for row in shown.to_dict("records")
    ]


def _to(row: dict[Any, Any]) -> str:
    """Name the strategy that a ratio is to, if it is not full recompute."""
    return "" if pd.isna(row["baseline"]) or row["baseline"] == BASELINE else f" to {row['baseline']}"


def _value(figure: str, value: float) -> str:
    if pd.isna(value):
        return ""
    unit, scale = UNITS.get(figure.rpartition("_")[2], ("", 1.0))
    return quantity(value * scale, unit) if unit else f"{value:.3f}"


def _change(row: dict[Any, Any]) -> str:
    if pd.isna(row["change"]):
        return ""
    interval = "" if pd.isna(row["change_low"]) else f" [{row['change_low']:.3f}, {row['change_high']:.3f}]"
    return f"{row['change']:.3f}{interval}"


def conclusion(found: pd.DataFrame) -> str:
    """One sentence: how many figures and ratios were judged, and what fails the comparison, or that nothing does."""
    exact = found[(found["kind"] == "deterministic") & (found["figure"] != "status")]
    same = f"{int((exact['verdict'] == 'same').sum())} of {len(exact)} deterministic figures are the same"
    judged = f"{same}; {_judged(found, 'ratio')}"
    if (found["kind"].eq("time") & found["verdict"].notna()).any():
        judged += f"; {_judged(found[found['figure'] == 'e2e_s'], 'time')}"
    bad = found[found["gate"] == "yes"]
    if bad.empty:
        return f"{judged}; nothing is worse beyond the margin with confidence."
    worst = [f"{row['strategy']} {row['figure']} {row['verdict']}" for row in bad.head(5).to_dict("records")]
    more = f", and {len(bad) - 5} more" if len(bad) > 5 else ""
    return f"{judged}; worse: {'; '.join(worst)}{more}."


def _judged(found: pd.DataFrame, kind: str) -> str:
    """Say how many were judged: "3 ratios were judged (1 undecided)"."""
    words = found.loc[found["kind"] == kind, "verdict"]
    undecided = int((words == "undecided").sum())
    count = f"{len(words) or 'no'} {kind}{'s were' if len(words) > 1 else ' was'} judged"
    return count + (f" ({undecided} undecided)" if undecided else "")


def _table(found: pd.DataFrame) -> Table:
    out = Table(box=None, padding=(0, 1, 0, 0))
    for name in HEADER:
        out.add_column(name, justify="right" if name in ("first", "second", "change") else "left", overflow="fold")
    for cells in lines_of(found):
        out.add_row(*map(Text, cells), style="bold red" if cells[-1].endswith("!") else "")
    return out
