"""Verdicts of the page: the ranked table of the terminal, at the longest case of each batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ..advice.rows import Row, cases, interval, longest
from ..quantity import quantity

HEADER = ("strategy", "total", "a step", "ratio", "verdict", "waste", "K/V", "peak")


@dataclass(frozen=True)
class Verdicts:
    """A case in words, its baseline, and rows of text under ``HEADER``, the quickest first."""

    place: str
    baseline: str
    rows: list[tuple[str, ...]]


def verdicts(rows: pd.DataFrame) -> list[Verdicts]:
    """Of one model on one device; what failed stands at the end with its status."""
    return [
        Verdicts(place, next((row["baseline"] for row in cell if row["baseline"]), ""), [_line(row) for row in cell])
        for place, cell in cases(longest(rows))
    ]


def _line(row: Row) -> tuple[str, ...]:
    if row["status"] != "ok":
        return (row["strategy"], row["status"], *[""] * (len(HEADER) - 2))
    base = row["strategy"] == row["baseline"]
    return (
        row["strategy"],
        quantity(row["e2e_s"], "s"),
        quantity(row["tpot_s"], "s"),
        f"{row['e2e_ratio']:.3f}" if base else interval(row, "e2e_ratio"),
        row.get("e2e_verdict", ""),
        "" if math.isnan(row["flops_waste"]) else f"{row['flops_waste']:.1f}x",
        quantity(row["kv_reserved_bytes"], "B"),
        quantity(row["peak_memory_bytes"], "B"),
    )
