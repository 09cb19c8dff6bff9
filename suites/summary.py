"""The closing table: strategies ranked in each cell, with their ratio to the baseline and its interval."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from .console import standard_output

GROUP = ["model", "device", "dtype", "threads", "stop", "seed"]
LEGEND = (
    "total: end to end, median. a step: time per output token. ratio: total over {base}'s, geometric mean paired "
    "within rounds, with its 95 % interval (each for itself). waste: FLOPs over necessary ones. K/V: reserved. "
    "peak: live tensor bytes above the weights. Formulas: run --help. crossover: the first k from which on cumulative "
    "time, prefill included, is less than {base}'s, from fits a + b k + c k^2 of latency, with its 95 % interval"
)


def quantity(value: float, unit: str) -> str:
    """Three significant digits with a prefix: 0.00123 s -> 1.23 ms; bytes go by 1024, the rest by 1000.

    >>> quantity(0.00123, "s"), quantity(1536, "B"), quantity(2.5e9, "FLOPs")
    ('1.23 ms', '1.50 KiB', '2.50 GFLOPs')
    """
    if value is None or math.isnan(value):
        return ""
    if unit == "s":
        for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if value >= scale:
                return f"{value / scale:.3g} {name}"
        return f"{value / 1e-9:.3g} ns"
    base, prefixes = (1024, ["", "Ki", "Mi", "Gi", "Ti"]) if unit == "B" else (1000, ["", "k", "M", "G", "T", "P"])
    for prefix in prefixes:
        if value < base or prefix == prefixes[-1]:
            return (
                f"{value:.0f} {unit}"
                if not prefix
                else f"{value:.{max(0, 2 - int(math.log10(value)))}f} {prefix}{unit}"
            )
        value /= base
    return ""


def print_summary(run_dir: Path, table: pd.DataFrame, written: list[Path], missing: int = 0) -> None:
    """Print to standard output: a table a device, what failed and why, and where everything is."""
    console = standard_output()
    groups = [(_title(rows, table), rows) for _, rows in table.groupby(GROUP, sort=False)]
    for title, rows in groups:
        console.print(_ranking(rows, title))
    bad = table[table["status"] != "ok"]
    for (status, reason), group in bad.groupby(["status", "reason"], sort=False):
        names = ", ".join(dict.fromkeys(group["strategy"]))
        cells = group["cell"].nunique()
        where = f"{cells} {'cell' if cells == 1 else 'cells'}"
        console.print(Text(f"{status}: {names} in {where}: {reason}", style="yellow"), soft_wrap=True)
    if missing:
        console.print(Text(f"missing: {missing} planned cells wrote no result", style="yellow"))
    for title, rows in groups:
        for place, sentences in crossovers(rows):
            console.print(Text(f"crossover, {title}, {place}", style="bold"), soft_wrap=True)
            for sentence in sentences:
                console.print(f"  {sentence}", markup=False, soft_wrap=True)
    if base := next(filter(None, table["baseline"]), ""):
        console.print(Text(LEGEND.format(base=base), style="dim"))
    console.print(f"{len(written)} plots, table.csv, steps.csv and roles.csv in {run_dir}", soft_wrap=True)


def _title(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """What the rows of a group have in common; stop and seed where the table has several."""
    case = rows.iloc[0]
    threads = f", {case['threads']} {'thread' if case['threads'] == 1 else 'threads'}"
    stop = f", until {case['stop']}" if table["stop"].nunique() > 1 else ""
    seed = f", seed {case['seed']}" if table["seed"].nunique() > 1 else ""
    where = f"{case['device']}{threads if case['device'] == 'cpu' else ''}"
    return f"{case['model']} on {where}, {case['dtype']}{stop}{seed}"


def crossovers(rows: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """For each batch its longest case, in words, and a sentence a strategy that was timed beside the baseline."""
    timed = rows[(rows["status"] == "ok") & (rows["strategy"] != rows["baseline"]) & rows["e2e_ratio"].notna()]
    for batch, cases in timed.groupby("batch_size"):
        for column in ("tgt_len", "src_len"):
            cases = cases[cases[column] == cases[column].max()]
        case = cases.iloc[0]
        place = f"batch {batch}, {case['src_len']} -> {case['tgt_len']}"
        yield place, [crossover_sentence(row) for row in cases.to_dict("records")]


def crossover_sentence(case: Mapping[Hashable, Any]) -> str:
    """Of a row of the table; its interval in brackets, unless it is the one length or never.

    >>> names = {"strategy": "static_kv", "baseline": "cross_kv", "tgt_len": 64, "stop": "fixed"}
    >>> crossover_sentence(names | {"crossover_k": 9.0, "crossover_low_k": 6.0, "crossover_high_k": math.nan})
    'static_kv beats cross_kv from k = 9 on [6, never]'
    """
    k, low, high = (case[f"crossover_{name}"] for name in ("k", "low_k", "high_k"))
    ends = ["never" if math.isnan(end) else f"{end:.0f}" for end in (low, high)]
    interval = f" [{', '.join(ends)}]" if ends[0] != ends[1] else ""
    if math.isnan(k):
        within = f"within {case['tgt_len']} tokens" if case["stop"] == "fixed" else "before the end"
        return f"{case['strategy']} never beats {case['baseline']} {within}{interval}"
    start = "the first token" if k == 1 else f"k = {k:.0f}"
    return f"{case['strategy']} beats {case['baseline']} from {start} on{interval}"


def _ranking(group: pd.DataFrame, title: str) -> Table:
    out = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    out.add_column("strategy", overflow="fold")
    for column in ("total", "a step", "ratio", "waste", "K/V", "peak"):
        out.add_column(column, justify="right", no_wrap=True)
    order = ["batch_size", "src_len", "tgt_len"]
    for (batch, source, target), cell in group.groupby(order):
        out.add_row()
        out.add_row(Text(f"batch {batch}, {source} -> {target}", style="bold"))
        for _, row in cell.sort_values("e2e_s", na_position="last").iterrows():
            if row["status"] != "ok":
                out.add_row(row["strategy"], row["status"])
                continue
            ratio = f"{row['e2e_ratio']:.3f}"
            if row["strategy"] != row["baseline"]:
                ratio += f" [{row['e2e_ratio_low']:.3f}, {row['e2e_ratio_high']:.3f}]"
            out.add_row(
                row["strategy"],
                quantity(row["e2e_s"], "s"),
                quantity(row["tpot_s"], "s"),
                ratio,
                f"{row['flops_waste']:.1f}x",
                quantity(row["kv_reserved_bytes"], "B"),
                quantity(row["peak_memory_bytes"], "B"),
            )
    return out
