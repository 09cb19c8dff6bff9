"""The tables that ``profile`` prints: by range, by operator, of a difference, and of whole steps."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..words.quantity import quantity
from .diff import Comparison, Pair, diff_table
from .tables import KINDS, STEP, step_of
from .trace import Trace

TOP = 12
"""Number of operators shown for a strategy and for a comparison; the file has all."""
Column = tuple[str, Sequence[str]]
"""The head of a table's column, and the text of its rows."""


def of_strategy(table: pd.DataFrame, label: str) -> pd.DataFrame:
    """Select the rows of one strategy."""
    return table[table["strategy"] == label]


def steps_of(trace: Trace) -> str:
    """Say how many steps were profiled, and which."""
    count = len(trace.steps)
    last = f" to {trace.steps[-1]}" if count > 1 else ""
    return f"{count} {'step' if count == 1 else 'steps'}, k = {trace.steps[0]}{last}"


def numbers(labels: Sequence[str]) -> dict[str, str]:
    """Map labels to the numbers that stand for them in a table; a repeated label has one number.

    >>> numbers(["full_recompute", "cross_kv", "static_kv", "cross_kv"])
    {'full_recompute': '1', 'cross_kv': '2', 'static_kv': '3'}
    """
    return {label: str(i) for i, label in enumerate(dict.fromkeys(labels), start=1)}


def print_key(console: Console, names: Mapping[str, str]) -> None:
    """Print what the numbers of a table stand for."""
    for label, number in names.items():
        console.print(Text(f"{number} {label}"), soft_wrap=True)


def say(console: Console, text: str, style: str = "") -> None:
    """Print prose, wrapped at the console's width. A longer word, such as a label, stays whole."""
    lines = textwrap.wrap(text, console.width, break_long_words=False, break_on_hyphens=False)
    console.print(Text("\n".join(lines), style=style), soft_wrap=True)


def _needed(columns: Sequence[Column], wrapped: bool = False) -> int:
    """Number of characters per line that the table needs so that no name, number or single shape is broken."""
    widths = [max(map(len, [head, *cells])) for head, cells in columns]
    if wrapped:
        head, cells = columns[-1]
        widths[-1] = max(len(word) for cell in [head, *cells] for word in cell.split() or [""])
    return sum(widths) + len(widths) - 1


def _print_table(console: Console, columns: Sequence[Column], wrapped: bool = False) -> None:
    """Print a table: the first column to the left, the others to the right.

    With ``wrapped``, the last column is to the left and is broken at spaces. If the terminal is too narrow, lines are
    longer than it, and names stay whole.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for i, (head, _) in enumerate(columns):
        last = wrapped and i == len(columns) - 1
        table.add_column(head, justify="left" if i == 0 or last else "right", no_wrap=not last, overflow="fold")
    for row in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*map(Text, row))
    needed = _needed(columns, wrapped)
    if needed > console.width:
        table.width = needed
    console.print(table, crop=False)


def _percent(fraction: float) -> str:
    return "" if pd.isna(fraction) else f"{100 * fraction:.1f}"


def _quantities(values: pd.Series, unit: str) -> list[str]:
    return [("-" if value < 0 else "") + quantity(abs(value), unit) for value in values]


def _percents(fractions: pd.Series) -> list[str]:
    return [_percent(fraction) for fraction in fractions]


def _indented(paths: pd.Series) -> list[str]:
    return [" " * path.count("/") + path.rpartition("/")[2] for path in paths]


def _three_shares(rows: pd.DataFrame) -> list[Column]:
    heads = zip(("matrix", "other", "Python"), KINDS, strict=True)
    return [(head, _percents(rows[kind] / rows["time_s"])) for head, kind in heads]


def print_ranges(console: Console, ranges: pd.DataFrame, device: str) -> None:
    """Print time, calls and memory of one strategy by range, and the time of its kernels on a GPU."""
    columns: list[Column] = [
        ("range", _indented(ranges["range"])),
        ("calls", [str(count) for count in ranges["calls"]]),
        ("time", _quantities(ranges["time_s"], "s")),
        ("self", _quantities(ranges["self_s"], "s")),
        *([("GPU", _quantities(ranges["device_s"], "s"))] if device == "cuda" else []),
        ("share", _percents(ranges["share"])),
        *_three_shares(ranges),
        ("products", [str(count) for count in ranges["products"]]),
        ("memory", _quantities(ranges["allocated_bytes"], "B")),
    ]
    _print_table(console, columns)


def print_operators(console: Console, operators: pd.DataFrame, device: str) -> None:
    """Print the ``TOP`` operators with the most time. The memory column is left out if the terminal is too narrow."""
    steps = operators[operators["range"] == STEP]
    top = steps.head(TOP)
    columns: dict[str, list[str]] = {
        "operator": list(top["operator"]),
        "calls": [str(count) for count in top["calls"]],
        "self": _quantities(top["self_s"], "s"),
        **({"GPU": _quantities(top["device_s"], "s")} if device == "cuda" else {}),
        "share": _percents(top["share"]),
        "memory": _quantities(top["allocated_bytes"], "B"),
        "shapes": list(top["shapes"]),
    }
    if _needed(list(columns.items()), wrapped=True) > console.width:
        del columns["memory"]
    _print_table(console, list(columns.items()), wrapped=True)
    _print_rest(console, len(steps))


def _print_rest(console: Console, count: int) -> None:
    if count > TOP:
        console.print(Text(f"and {count - TOP} more in operators.csv", style="dim"))


def print_diff(
    console: Console,
    trace: Trace,
    ranges: pd.DataFrame,
    operators: pd.DataFrame,
    pair: Pair,
    comparison: Comparison,
) -> None:
    """Print two tables, by range and by operator; percentages only if there is a difference to divide."""
    own = "device_s" if trace.device == "cuda" else "self_s"
    by_range = diff_table(ranges, "range", "time_s", ranges, pair)
    by_range["range"] = _indented(by_range["range"])
    by_operator = diff_table(operators, "operator", own, ranges, pair)
    by_operator = by_operator.loc[by_operator["more_s"].abs().sort_values(ascending=False, kind="stable").index]
    for title, key, rows in (
        (f"a step, mean of {steps_of(trace)}", "range", by_range),
        ("its operators, self time", "operator", by_operator.head(TOP)),
    ):
        columns: list[Column] = [
            (key, list(rows[key])),
            ("1", _quantities(rows["first_s"], "s")),
            ("2", _quantities(rows["second_s"], "s")),
            ("1 - 2", _quantities(rows["more_s"], "s")),
            *([("% of it", _percents(rows["share"]))] if comparison.divided else []),
        ]
        console.print(Text(f"\n{title}", style="bold"))
        _print_table(console, columns)
    _print_rest(console, len(by_operator))


def print_steps(console: Console, traces: Sequence[Trace], ranges: pd.DataFrame, names: Mapping[str, str]) -> None:
    """Print one row per strategy, by its name in ``names`` and in that order; by number if the terminal is narrow."""
    by_label = {trace.label: trace for trace in traces}
    steps = pd.DataFrame([step_of(of_strategy(ranges, label)) for label in names])
    columns: list[Column] = [
        ("strategy", list(names.values())),
        ("a step", [quantity(by_label[label].step_s, "s") for label in names]),
        ("profiled", _quantities(steps["time_s"], "s")),
        *_three_shares(steps),
    ]
    if _needed(columns) > console.width:
        numbered = numbers(list(names))
        print_key(console, numbered)
        columns[0] = ("strategy", list(numbered.values()))
    _print_table(console, columns)
