"""The large table of the page: one row per case and one unit per column, in plain numbers that sort and filter."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..store.hardware import HARDWARE
from ..tables.columns import SIZES, SPEED
from ..tables.exactness import exact_rows, is_exact
from ..telling.advice.rows import place_of

DIGITS = 4


@dataclass(frozen=True)
class Column:
    """A column of the page. It shows the column ``source`` of table.csv, divided by ``unit_size``, under ``title``.

    An ``inverse`` column shows 1 over it: speedups are kept as ratios of times.
    """

    source: str
    title: str
    unit_size: float = 1.0
    text: bool = False
    inverse: bool = False

    def shown(self, value: float) -> float:
        """The number that the page shows for a value of table.csv."""
        if self.inverse:
            return 1 / value if value else math.nan
        return value / self.unit_size


SETTINGS = (
    Column("model", "model", text=True),
    Column("device", "device", text=True),
    Column("dtype", "type", text=True),
    Column("weights", "weights", text=True),
    Column("linear", "linear", text=True),
    Column("attention", "attention", text=True),
    Column("tf32", "TF32", text=True),
    Column("search", "search", text=True),
    Column("num_beams", "beams"),
    Column("first_sentence", "from sentence"),
    Column("threads", "threads"),
    Column("stop", "until", text=True),
    Column("seed", "seed"),
    Column("node", "node", text=True),
    Column("cpu", "CPU", text=True),
    Column("gpu", "GPU", text=True),
)
"""Columns that are shown only if cases differ in them."""
COLUMNS = (
    Column("strategy", "strategy", text=True),
    Column("status", "status", text=True),
    Column("e2e_s", "end to end (ms)", 1e-3),
    Column("e2e_ratio", "speedup (x)", inverse=True),
    Column("e2e_holm_high", "speedup, low (adjusted)", inverse=True),
    Column("e2e_holm_low", "speedup, high (adjusted)", inverse=True),
    Column("e2e_ratio_high", "speedup, low (95 %)", inverse=True),
    Column("e2e_ratio_low", "speedup, high (95 %)", inverse=True),
    Column("e2e_verdict", "verdict", text=True),
    Column("best_ratio", "time / best's"),
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
    Column("phoneme_error", "phoneme error (%)", 0.01),
    Column("token_error", "token error (%)", 0.01),
    Column("top1_equal", "equal top-1 (%)", 0.01),
    Column("sequences_equal", "equal outputs (%)", 0.01),
    Column("kl_nats", "KL (nats)"),
    Column("rounds", "rounds"),
    Column("reason", "reason", text=True),
    Column("batch_size", "batch"),
    Column("src_len", "source"),
    Column("tgt_len", "target"),
)
PLAIN, ADJUSTED = ("e2e_ratio_low", "e2e_ratio_high"), ("e2e_holm_low", "e2e_holm_high")
"""Columns of the two intervals. The page shows the adjusted one, or the plain one where a run has no other."""


def varying(table: pd.DataFrame) -> list[Column]:
    """Columns of ``SETTINGS`` in which cases differ."""
    return [column for column in SETTINGS if column.source in table and table[column.source].nunique() > 1]


def columns_of(table: pd.DataFrame) -> list[Column]:
    """The columns of ``COLUMNS`` that are not empty, and those of ``SETTINGS`` that vary; the strategy is the first.

    The status is left out where every case has one.
    """
    known = [column for column in COLUMNS if column.source in table and _told(table[column.source])]
    adjusted = any(column.source in ADJUSTED for column in known)
    left_out = {*(PLAIN if adjusted else ()), *(("status",) if (table["status"] == "ok").all() else ())}
    return [*(column for column in known if column.source not in left_out), *varying(table)]


def _told(values: pd.Series) -> bool:
    return bool(values.notna().any()) and bool((values != "").any())


def numbers(table: pd.DataFrame, columns: Sequence[Column] | None = None) -> dict[str, Any]:
    """Return what DataTables draws the table of the page from: ``columns`` and ``data``, and the case of each row.

    Numbers have four digits, in the unit of their column. Text is escaped, since it is put into the page unchanged.
    ``columns`` are those of a run's table by default. ``case`` has a place in ``cases``, their names, for each row, and
    ``best`` are the rows that are the quickest of their case, approximate strategies aside.
    """
    columns = columns_of(table) if columns is None else columns
    series = [
        [html.escape(str(value)) for value in _texts(table, column)]
        if column.text
        else [rounded(column.shown(value)) for value in table[column.source]]
        for column in columns
    ]
    return {
        "columns": [
            {"title": column.title, "type": "string" if column.text else "num"}
            | ({"className": "dt-nowrap"} if column.source in HARDWARE else {})
            for column in columns
        ],
        "data": [list(row) for row in zip(*series, strict=True)],
        **_cases(table),
    }


def _texts(table: pd.DataFrame, column: Column) -> pd.Series:
    """The texts of a column. Approximate strategies are named so."""
    texts = table[column.source]
    return texts.where(is_exact(table), texts + " (approximate)") if column.source == "strategy" else texts


def _cases(table: pd.DataFrame) -> dict[str, Any]:
    """Number the cases in the order of the table, and name them by what varies."""
    names = [column.source for column in varying(table) if column.source not in SIZES]
    keys = [*names, *SIZES]
    place = table.groupby(keys, sort=False, dropna=False).ngroup() if len(table) else pd.Series(dtype=int)
    first = table.assign(place=place).drop_duplicates("place")
    told = [
        ", ".join([*(f"{row[name]} {name}" if name in ("threads", "seed") else str(row[name]) for name in names),
                   place_of(row)])
        for row in first.to_dict("records")
    ]  # fmt: skip
    best = []
    if "e2e_s" in table:
        timed = table.reset_index(drop=True).assign(place=place.to_numpy())
        timed = exact_rows(timed[timed["e2e_s"].notna()])
        best = timed.sort_values(SPEED, kind="stable").groupby("place").head(1).index.tolist()
    return {"case": place.tolist(), "cases": [html.escape(one) for one in told], "best": best}


def rounded(value: float) -> float | int | None:
    """Round to four digits. Whole numbers stay whole, and NaN becomes None.

    >>> rounded(18.12345), rounded(123456.0), rounded(float("nan"))
    (18.12, 123456, None)
    """
    if value is None or math.isnan(value):
        return None
    number = float(value)
    return int(number) if number.is_integer() else float(f"{number:.{DIGITS}g}")
