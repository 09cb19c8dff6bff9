"""A ledger printed for the terminal, as Markdown, or as data for programs."""

from __future__ import annotations

import sys

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..store.frame import as_csv
from ..words.console import standard_output
from ..words.markdown import pipe_table
from .column import at_step, columns, legend, prefix_told
from .comparison import comparison, differences
from .view import Sheet, answer, growth, products, totals


def sheets(ledger: pd.DataFrame, k: int, src_len: int) -> list[Sheet]:
    """Return the sheets that are printed: growth, products, totals."""
    rows = at_step(ledger, k, src_len)
    found = columns(rows)
    return [growth(found), products(found, k), totals(rows, k)]


def print_ledger(ledger: pd.DataFrame, k: int, src_len: int, title: str, form: str) -> None:
    """Print to standard output. csv and json hold the whole ledger, the others step k at one source length."""
    if form == "csv":
        sys.stdout.write(as_csv(ledger))
        return
    if form == "json":
        sys.stdout.write(ledger.to_json(orient="records", indent=1) + "\n")
        return
    rows = at_step(ledger, k, src_len)
    facts = " ".join(filter(None, [f"{title}: {legend(rows)}.", prefix_told(rows)]))
    if form == "md":
        first, *others = map(markdown, sheets(ledger, k, src_len))
        parts = [facts, first, answer(columns(rows)), *others]
        sys.stdout.write("\n\n".join(filter(None, parts)) + "\n")
        return
    console = standard_output(80)
    console.print(Text(facts))
    for place, sheet in enumerate(sheets(ledger, k, src_len)):
        _print(console, sheet)
        if place == 0 and (said := answer(columns(rows))):
            console.print()
            console.print(Text(said, style="bold"))


def print_comparison(ours: pd.DataFrame, theirs: pd.DataFrame, k: int, src_len: int, form: str) -> None:
    """Print their products beside ours. Print nothing for csv and json, which hold the other ledger alone."""
    sheet = comparison(ours, theirs, k, src_len)
    if form == "md":
        sys.stdout.write(f"\n{markdown(sheet)}\n\n{differences(sheet)}\n")
    elif form == "table":
        console = standard_output(80)
        _print(console, sheet)
        console.print(Text(f"\n{differences(sheet)}", style="bold"))


def _print(console: Console, sheet: Sheet) -> None:
    console.print()
    console.print(Text("\n".join(sheet.key)), end="\n\n" if sheet.key else "")
    console.print(_table(sheet), crop=False)
    console.print(Text(sheet.note, style="dim"))


def _table(sheet: Sheet) -> Table:
    out = Table(title=sheet.title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    labels = [place for place, name in enumerate(sheet.header) if name == "strategy"]
    rows = [[broken(cell) if place in labels else cell for place, cell in enumerate(row)] for row in sheet.rows]
    for place, name in enumerate(sheet.header):
        right = name in ("FLOPs", "bytes", "K/V moved", "of growing", "runs", "GEMM", "bGEMM", "grow", "a layer")
        words = [word for row in rows if place < len(row) for word in row[place].replace(" x ", "-x ").split()]
        out.add_column(
            name,
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right or name == "product",
            min_width=max(map(len, words), default=0),  # a shape is broken between its factors, not in its brackets
        )
    for row in rows:
        out.add_row(*map(Text, row))
    return out


def broken(label: str) -> str:
    """Break a long label after its name and between its options.

    >>> print(broken("static_kv(cross=recompute,read=buffer)"))
    static_kv(
     cross=recompute,
     read=buffer)
    """
    return label if len(label) <= 18 else label.replace("(", "(\n ", 1).replace(",", ",\n ")


def markdown(sheet: Sheet) -> str:
    """Write a sheet as Markdown: a heading, a pipe table and its note.

    >>> print(markdown(Sheet("Title", ["a", "b"], [["1", "x|y"]])))
    ### Title
    <BLANKLINE>
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    key = [*(f"- {line}" for line in sheet.key), ""] if sheet.key else []
    table = pipe_table(sheet.header, sheet.rows)
    return "\n".join([f"### {sheet.title}", "", *key, table, *(["", sheet.note] if sheet.note else [])])
