"""What ``profile`` prints: the three shares first, then tables by range and by operator, and how to open the traces."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..console import UNBROKEN, standard_output
from ..summary import quantity
from .diff import Pair, diff_table, sentence
from .tables import KINDS, STEP, percents, step_of
from .trace import PASSES, Trace

TOP = 12
"""Operators shown of a strategy, and of a comparison; the file has all."""
LARGE_BYTES = 100 * 1024**2
"""A trace above this size gets a warning: viewers become slow."""
BUSY = 0.2
"""A larger part of the steps off the processor says that others were using it; a GPU is waited for."""
LEGEND = (
    "share: % of the steps, or of prefill. matrix, other, Python: matrix products (a fused attention whole), other "
    "operators, and the rest, Python and dispatch, in % of the row. self: without what is called inside. memory: "
    "allocated by operators. The profiler lengthens a step as the last table says, mostly under other and Python."
)


def print_report(
    traces: Sequence[Trace], ranges: pd.DataFrame, operators: pd.DataFrame, run_dir: Path, pair: Pair | None
) -> None:
    """Print to standard output. With ``pair`` its two strategies are set side by side, not one after the other."""
    console = standard_output(UNBROKEN)
    for trace in traces:
        console.print(Text(shares_line(trace.label, _of(ranges, trace.label))), soft_wrap=True)
    if pair:
        console.print(Text(sentence(ranges, pair, {trace.label: trace.unprofiled_s for trace in traces})))
    for line in busy_lines(traces):
        console.print(Text(line, style="yellow"))
    for trace in () if pair else traces:
        console.print(Text(f"\n{trace.label}, {_where(trace)}", style="bold"))
        console.print(_range_table(_of(ranges, trace.label)))
        console.print(Text(f"\noperators of {_steps(trace)}, by self time"))
        _print_operators(console, _of(operators, trace.label), trace.device)
    if pair:
        _print_diff(console, traces[0], ranges, operators, pair)
    title = f"a step without the profiler, median of {PASSES} decodes, and with it"
    console.print(Text(f"\n{title}", style="bold"))
    console.print(_comparison(traces, ranges))
    console.print(Text(LEGEND, style="dim"))
    console.print()
    for line in closing_lines(traces, run_dir):
        console.print(Text(line, style="yellow" if line.startswith("warning") else ""), soft_wrap=True)


def shares_line(label: str, ranges: pd.DataFrame) -> str:
    """How much of a decode step is matrix products, other operators, and Python and dispatch."""
    step = step_of(ranges)
    shares = zip(percents([step[kind] for kind in KINDS]), KINDS.values(), strict=True)
    product, other, python = (f"{percent} % {kind}" for percent, kind in shares)
    return f"{label}: a step is {product}, {other}, {python}"


def busy_lines(traces: Sequence[Trace]) -> list[str]:
    """A warning for each strategy whose profile others on the machine disturbed."""
    return [
        f"warning: {trace.label} had to wait for a processor in {100 * trace.waited:.0f} % of the profiled time: the "
        "machine is busy with other things; profile again, or give fewer threads"
        for trace in traces
        if trace.device == "cpu" and trace.waited > BUSY
    ]


def closing_lines(traces: Sequence[Trace], run_dir: Path) -> list[str]:
    """Where everything is, how large the traces are, and how to open them."""
    lines = []
    for trace in traces:
        size = trace.path.stat().st_size
        lines.append(f"trace of {trace.label}: {trace.path} ({quantity(size, 'B')})")
        if size > LARGE_BYTES:
            lines.append(
                f"warning: this trace is over {quantity(LARGE_BYTES, 'B')}, viewers may fail; profile fewer --steps"
            )
    return [
        *lines,
        f"open a trace at https://ui.perfetto.dev, or: tensorboard --logdir {shlex.quote(str(run_dir / 'profile'))}",
        "(the extra decodebench[profile] installs TensorBoard; its page needs a network)",
        f"ranges.csv and operators.csv in {run_dir}",
    ]


def _of(table: pd.DataFrame, label: str) -> pd.DataFrame:
    return table[table["strategy"] == label]


def _steps(trace: Trace) -> str:
    count = len(trace.steps)
    last = f" to {trace.steps[-1]}" if count > 1 else ""
    return f"{count} {'step' if count == 1 else 'steps'}, k = {trace.steps[0]}{last}"


def _where(trace: Trace) -> str:
    return f"prefill and {_steps(trace)}, on {trace.device}"


def _new_table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _percent(fraction: float) -> str:
    return "" if pd.isna(fraction) else f"{100 * fraction:.1f}"


def _range_table(ranges: pd.DataFrame) -> Table:
    table = _new_table(["range"], ["calls", "time", "self", "share", "matrix", "other", "Python", "products", "memory"])
    for row in ranges.to_dict("records"):
        *outer, name = row["range"].split("/")
        table.add_row(
            " " * len(outer) + name,
            str(row["calls"]),
            quantity(row["time_s"], "s"),
            quantity(row["self_s"], "s"),
            _percent(row["share"]),
            *(_percent(row[kind] / row["time_s"]) for kind in KINDS),
            str(row["products"]),
            quantity(row["allocated_bytes"], "B"),
        )
    return table


def _print_operators(console: Console, operators: pd.DataFrame, device: str) -> None:
    steps = operators[operators["range"] == STEP]
    table = _new_table(["operator"], ["calls", "self", *(["GPU"] if device == "cuda" else []), "share", "memory"])
    table.add_column("shapes", overflow="fold")
    for row in steps.head(TOP).to_dict("records"):
        table.add_row(
            row["operator"],
            str(row["calls"]),
            quantity(row["self_s"], "s"),
            *([quantity(row["device_s"], "s")] if device == "cuda" else []),
            _percent(row["share"]),
            quantity(row["allocated_bytes"], "B"),
            row["shapes"],
        )
    console.print(table)
    if len(steps) > TOP:
        console.print(Text(f"and {len(steps) - TOP} more in operators.csv", style="dim"))


def _print_diff(console: Console, trace: Trace, ranges: pd.DataFrame, operators: pd.DataFrame, pair: Pair) -> None:
    own = "device_s" if trace.device == "cuda" else "self_s"
    by_range = diff_table(ranges, "range", "time_s", ranges, pair)
    by_range["range"] = [" " * path.count("/") + path.rpartition("/")[2] for path in by_range["range"]]
    by_operator = diff_table(operators, "operator", own, ranges, pair)
    by_operator = by_operator.loc[by_operator["more_s"].abs().sort_values(ascending=False, kind="stable").index]
    for title, rows in ((f"a step, mean of {_steps(trace)}", by_range), ("its operators, self time", by_operator)):
        table = _new_table([rows.columns[0]], [*pair, "difference", "% of it"])
        for name, first_s, second_s, more_s, share in rows.head(TOP).itertuples(index=False):
            difference = ("-" if more_s < 0 else "") + quantity(abs(more_s), "s")
            table.add_row(name, quantity(first_s, "s"), quantity(second_s, "s"), difference, _percent(share))
        console.print(Text(f"\n{title}", style="bold"))
        console.print(table)


def _comparison(traces: Sequence[Trace], ranges: pd.DataFrame) -> Table:
    table = _new_table(["strategy"], ["a step", "profiled", "matrix", "other", "Python"])
    for trace in traces:
        step = step_of(_of(ranges, trace.label))
        shares = (_percent(step[kind] / step["time_s"]) for kind in KINDS)
        table.add_row(trace.label, quantity(trace.unprofiled_s, "s"), quantity(step["time_s"], "s"), *shares)
    return table
