"""What ``compare`` prints: the verdict, then ratios by case, or data for programs; and the rows of the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..judging.baseline import BASELINE
from ..store.frame import as_csv
from ..words.console import standard_output
from ..words.markdown import pipe_table
from ..words.search_told import is_beam
from .cases import CaseChanges, baselines, cases, value
from .conclusion import conclusion, headline, judged
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
NOTE = (
    "change: the second run's ratio to the baseline over the first run's, with its 95 % interval; ! fails the "
    "comparison. No round of one run was paired with one of the other, and two processes of the same code may differ "
    "by some per cent for as long as they live: measure again before you believe a small change (docs/comparing.md). "
    "Times, which two runs do not share, are in compare.csv."
)
NAMES = {
    "e2e_ratio": "ratio",
    "e2e_s": "time, unpaired",
    "e2e_read_gb": "time x read, unpaired",
    "e2e_gemm_gflop": "time x GEMM, unpaired",
}


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
    runs_told = [f"first: {a.path}", f"second: {b.path}"]
    if form == "md":
        head = "  \n".join([f"**{headline(found)}**", judged(found), *runs_told, *notes])
        tables = [f"### {case.name}\n\n{pipe_table(_header(found), _cells(case))}" for case in cases(found)]
        sys.stdout.write("\n\n".join([head, *tables, NOTE]) + "\n")
        return
    console = standard_output()
    console.print(Text(headline(found), style="bold"))
    console.print(Text(judged(found)))
    for line in (*runs_told, *notes):
        console.print(Text(line), soft_wrap=True)
    _print_cases(console, cases(found), _header(found))
    console.print()
    console.print(Text(NOTE, style="dim"))


def _header(found: pd.DataFrame) -> tuple[str, ...]:
    base = " or ".join(baselines(found))
    return f"speedup over {base}" if base else "", "first", "second", "change"


def _cells(case: CaseChanges) -> list[tuple[str, ...]]:
    return [(line.name, line.first, line.second, line.change + " !" * line.worse) for line in case.lines]


def _print_cases(console: Console, found: Sequence[CaseChanges], header: Sequence[str]) -> None:
    """Print each case under its name, with the columns of all cases below one another. What is worse is red."""
    rows = [header, *(cells for case in found for cells in _cells(case))]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    for number, case in enumerate(found):
        out = Table(box=None, padding=(0, 2, 0, 0), show_header=number == 0, header_style="dim")
        for name, width in zip(header, [*widths, None], strict=True):
            right = name in ("first", "second")
            out.add_column(name, justify="right" if right else "left", overflow="fold", min_width=width, no_wrap=right)
        for line, cells in zip(case.lines, _cells(case), strict=True):
            out.add_row(*map(Text, cells), style="red" if line.worse else "")
        console.print()
        console.print(Text(case.name, style="bold"))
        console.print(out)


HEADER = ("case", "strategy", "figure", "first", "second", "change", "verdict")


def lines_of(found: pd.DataFrame) -> list[tuple[str, ...]]:
    """Rows of text: every ratio and every time, and the deterministic figures that changed."""
    shown = found[~found["kind"].isin(["deterministic", "quality"]) | (found["verdict"] != "same")]
    return [
        (
            f"{row['model']} {_sizes(row)}",
            row["strategy"],
            NAMES.get(row["figure"], row["figure"]) + _to(row),
            value(row["figure"], row["a"]),
            value(row["figure"], row["b"]),
            _change(row),
            "" if pd.isna(row["verdict"]) else f"{row['verdict']}{' !' if row['gate'] == 'yes' else ''}",
        )
        for row in shown.to_dict("records")
    ]


def _sizes(row: dict[Any, Any]) -> str:
    beams = f" {row['num_beams']} beams" if is_beam(row["search"]) else ""
    return f"b{row['batch_size']}{beams} {row['src_len']}->{row['tgt_len']}"


def _to(row: dict[Any, Any]) -> str:
    """Name the strategy that a ratio is to, if it is not full recompute."""
    return "" if pd.isna(row["baseline"]) or row["baseline"] == BASELINE else f" to {row['baseline']}"


def _change(row: dict[Any, Any]) -> str:
    if pd.isna(row["change"]):
        return ""
    interval = "" if pd.isna(row["change_low"]) else f" [{row['change_low']:.3f}, {row['change_high']:.3f}]"
    return f"{row['change']:.3f}{interval}"
