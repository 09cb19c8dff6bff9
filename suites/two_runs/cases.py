"""A comparison case by case: what changed of each strategy, in rows of text for people."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..tables.columns import SETTINGS
from ..words.comparison import factor
from ..words.quantity import percent, quantity
from ..words.search_told import sizes_with_units
from .conclusion import change_in_words
from .quality import FIGURES

UNITS = {"flops": ("FLOPs", 1.0), "bytes": ("B", 1.0), "s": ("s", 1.0), "gb": ("bytes", 1e9), "gflop": ("FLOPs", 1e9)}
"""Last part of a figure's name -> its unit, and how many of these one is. A "gb" is 1e9 bytes, as in a rate."""


@dataclass(frozen=True)
class Line:
    """What changed, the figure in the first and in the second run, the change in words, and whether it is worse."""

    name: str
    first: str
    second: str
    change: str
    worse: bool


@dataclass(frozen=True)
class CaseChanges:
    """A case, which all strategies share, and its lines."""

    name: str
    lines: list[Line]


def cases(found: pd.DataFrame) -> list[CaseChanges]:
    """Group by case what was judged: ratios, deterministic figures that changed, and times if they were judged."""
    varying = [name for name in SETTINGS if name != "model" and name in found and found[name].nunique() > 1]
    out = []
    for _, rows in found.groupby("cell", sort=False):
        first = rows.iloc[0]
        name = f"{first['model']}, {sizes_with_units(first)}"
        name += "".join(f", {column} {first[column]}" for column in varying)
        if lines := list(_lines(rows)):
            out.append(CaseChanges(name, lines))
    return out


def _lines(rows: pd.DataFrame) -> Iterator[Line]:
    for row in rows.to_dict("records"):
        strategy, figure, worse = str(row["strategy"]), str(row["figure"]), row["gate"] == "yes"
        first, second = value(figure, row["a"]), value(figure, row["b"])
        if figure == "status":
            first, _, second = str(row["verdict"]).partition(" -> ")
            yield Line(strategy, first, second, "failed" if worse else "", worse)
        elif figure == "e2e_ratio":
            first, second = factor(1 / row["a"]), factor(1 / row["b"])
            yield Line(strategy, first, second, change_in_words(row), worse)
        elif figure == "e2e_s" and not pd.isna(row["verdict"]):
            yield Line(f"{strategy}, time", first, second, change_in_words(row), worse)
        elif row["kind"] == "quality" and row["verdict"] != "same":
            yield Line(f"{strategy}, quality, {figure}", first, second, str(row["verdict"]), worse)
        elif row["kind"] == "deterministic" and row["verdict"] != "same":
            yield Line(f"{strategy}, {figure}", first, second, _change(row), worse)


def _change(row: Mapping[Hashable, Any]) -> str:
    """What became of a deterministic figure."""
    if row["verdict"] not in ("grew", "shrank") or pd.isna(row["change"]):
        return str(row["verdict"])
    return f"{row['verdict']} by {percent(abs(row['change'] - 1))}"


def baselines(found: pd.DataFrame) -> list[str]:
    """The strategies that ratios are to."""
    return list(dict.fromkeys(found.loc[found["kind"] == "ratio", "baseline"]))


def value(figure: str, number: float) -> str:
    """Write a figure with its unit; "" for NaN."""
    if pd.isna(number):
        return ""
    if figure in FIGURES:
        return f"{number:.4g}"
    unit, scale = UNITS.get(figure.rpartition("_")[2], ("", 1.0))
    return quantity(number * scale, unit) if unit else f"{number:.3f}"
