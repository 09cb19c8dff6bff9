"""The large table of the page: one row per case and one unit per column, in plain numbers that sort and filter."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

DIGITS = 4


@dataclass(frozen=True)
class Column:
    """A column of the page. It shows the column ``source`` of table.csv, divided by ``unit_size``, under ``title``."""

    source: str
    title: str
    unit_size: float = 1.0
    text: bool = False


SETTINGS = (
    Column("model", "model", text=True),
    Column("device", "device", text=True),
    Column("dtype", "type", text=True),
    Column("weights", "weights", text=True),
    Column("linear", "linear", text=True),
    Column("attention", "attention", text=True),
    Column("tf32", "TF32", text=True),
    Column("threads", "threads"),
    Column("stop", "until", text=True),
    Column("seed", "seed"),
)
"""Columns that are shown only if cases differ in them."""
COLUMNS = (
    Column("batch_size", "batch"),
    Column("src_len", "source"),
    Column("tgt_len", "target"),
    Column("strategy", "strategy", text=True),
    Column("status", "status", text=True),
    Column("e2e_s", "end to end (ms)", 1e-3),
    Column("e2e_ratio", "ratio"),
    Column("e2e_ratio_low", "ratio, low"),
    Column("e2e_ratio_high", "ratio, high"),
    Column("e2e_verdict", "verdict", text=True),
    Column("best_ratio", "to the best"),
    Column("best_ratio_low", "to the best, low"),
    Column("best_ratio_high", "to the best, high"),
    Column("tpot_s", "a step (ms)", 1e-3),
    Column("ttft_s", "first token (ms)", 1e-3),
    Column("prefill_s", "prefill (ms)", 1e-3),
    Column("throughput_tokens_per_s", "tokens/s"),
    Column("energy_j_per_token", "J/token"),
    Column("executed_flops", "GFLOPs", 1e9),
    Column("flops_waste", "waste (x)"),
    Column("step_bytes", "a step moves (MiB)", 2.0**20),
    Column("kv_reserved_bytes", "K/V (MiB)", 2.0**20),
    Column("peak_memory_bytes", "peak (MiB)", 2.0**20),
    Column("mbu", "MBU"),
    Column("mfu", "MFU"),
    Column("floor_fraction", "of its floor"),
    Column("dispatch_s", "dispatch (ms)", 1e-3),
    Column("rounds", "rounds"),
    Column("reason", "reason", text=True),
)


def varying(table: pd.DataFrame) -> list[Column]:
    """Columns of ``SETTINGS`` in which cases differ."""
    return [column for column in SETTINGS if table[column.source].nunique() > 1]


def columns_of(table: pd.DataFrame) -> list[Column]:
    """Columns of ``SETTINGS`` that vary, followed by the columns of ``COLUMNS`` that are not empty."""
    known = [column for column in COLUMNS if column.source in table and _told(table[column.source])]
    return [*varying(table), *known]


def _told(values: pd.Series) -> bool:
    return bool(values.notna().any()) and bool((values != "").any())


def numbers(table: pd.DataFrame, columns: Sequence[Column] | None = None) -> dict[str, Any]:
    """Return ``columns`` and ``data``, from which DataTables draws the table of the page.

    Numbers have four digits, in the unit of their column. Text is escaped, since it is put into the page unchanged.
    ``columns`` are those of a run's table by default.
    """
    columns = columns_of(table) if columns is None else columns
    series = [
        [html.escape(str(value)) for value in table[column.source]]
        if column.text
        else [rounded(value / column.unit_size) for value in table[column.source]]
        for column in columns
    ]
    return {
        "columns": [{"title": column.title, "type": "string" if column.text else "num"} for column in columns],
        "data": [list(row) for row in zip(*series, strict=True)],
    }


def rounded(value: float) -> float | int | None:
    """Round to four digits. Whole numbers stay whole, and NaN becomes None.

    >>> rounded(18.12345), rounded(123456.0), rounded(float("nan"))
    (18.12, 123456, None)
    """
    if value is None or math.isnan(value):
        return None
    number = float(value)
    return int(number) if number.is_integer() else float(f"{number:.{DIGITS}g}")
