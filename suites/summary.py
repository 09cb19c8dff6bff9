"""The closing table: strategies ranked in each cell, with their ratio to the baseline and its interval."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

GROUP = ["model", "device", "dtype", "threads", "stop", "seed"]
LEGEND = (
    "total: end to end, median. a step: time per output token. ratio: total over {base}'s, geometric mean paired "
    "within rounds, with its 95 % interval (each for itself). waste: FLOPs over necessary ones. K/V: reserved. "
    "peak: live tensor bytes above the weights. Formulas: run --help"
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
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    several = {name: table[name].nunique() > 1 for name in ("stop", "seed")}
    for (model, device, dtype, threads, stop, seed), group in table.groupby(GROUP, sort=False):
        where = f"{device}, {threads} {'thread' if threads == 1 else 'threads'}" if device == "cpu" else str(device)
        apart = (f", until {stop}" if several["stop"] else "") + (f", seed {seed}" if several["seed"] else "")
        console.print(_ranking(group, f"{model} on {where}, {dtype}{apart}"))
    if base := next(filter(None, table["baseline"]), ""):
        console.print(Text(LEGEND.format(base=base), style="dim"))
    bad = table[table["status"] != "ok"]
    for (status, reason), group in bad.groupby(["status", "reason"], sort=False):
        names = ", ".join(dict.fromkeys(group["strategy"]))
        cells = group["cell"].nunique()
        where = f"{cells} {'cell' if cells == 1 else 'cells'}"
        console.print(Text(f"{status}: {names} in {where}: {reason}", style="yellow"), soft_wrap=True)
    if missing:
        console.print(Text(f"missing: {missing} planned cells wrote no result", style="yellow"))
    console.print(f"{len(written)} plots, table.csv and steps.csv in {run_dir}", soft_wrap=True)


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
