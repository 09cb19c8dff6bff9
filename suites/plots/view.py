"""One group of a table that belongs on one set of plots, and the axis along which it was swept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .style import Look, looks

AXES = {
    ("src_len", "tgt_len"): ("tgt_len", "source = target length (tokens)"),
    ("tgt_len",): ("tgt_len", "target length (tokens)"),
    ("src_len",): ("src_len", "source length (tokens)"),
    ("batch_size",): ("batch_size", "batch (sentences)"),
}


@dataclass(frozen=True)
class View:
    """Cases of one model, device and dtype that were measured, with a line for the foot of each plot."""

    table: pd.DataFrame
    steps: pd.DataFrame
    foot: str
    suffix: str
    looks: dict[str, Look]
    broken: dict[str, str]

    @property
    def strategies(self) -> list[str]:
        """In the table's order."""
        return list(dict.fromkeys(self.table["strategy"]))

    def name(self, strategy: Any) -> str:
        """For a legend: with the reason, where some cases of it were not measured."""
        reason = self.broken.get(strategy)
        return f"{strategy} ({reason})" if reason else strategy

    @property
    def axis(self) -> tuple[str, str]:
        """(column, label) of the lengths swept, else of the batch; tied source and target count as one."""
        varying = [c for c in ("src_len", "tgt_len") if self.table[c].nunique() > 1]
        if varying == ["src_len", "tgt_len"] and (self.table["src_len"] != self.table["tgt_len"]).any():
            return AXES[("tgt_len",)]
        if not varying:
            varying = ["batch_size"] if self.table["batch_size"].nunique() > 1 else ["tgt_len"]
        return AXES[tuple(varying)]

    def at(self, value: float) -> str:
        """A place on the axis, in words."""
        return f"{int(value)} {'sentences' if self.axis[0] == 'batch_size' else 'tokens'}"

    @property
    def panels(self) -> list[tuple[str, pd.DataFrame]]:
        """The table by what varies besides the axis: (title, rows), at most the first, a middle and the last."""
        column = self.axis[0]
        tied = column == "tgt_len" and (self.table["src_len"] == self.table["tgt_len"]).all()
        rest = [c for c in ("batch_size", "src_len", "tgt_len") if c != column and not (tied and c == "src_len")]
        rest = [c for c in rest if self.table[c].nunique() > 1]
        if not rest:
            return [("", self.table)]
        groups = [(_words(dict(zip(rest, key, strict=True))), rows) for key, rows in self.table.groupby(rest)]
        keep = sorted({0, len(groups) // 2, len(groups) - 1})
        return [groups[i] for i in keep]


def _words(values: dict[str, object]) -> str:
    names = {"batch_size": "batch", "src_len": "source", "tgt_len": "target"}
    return ", ".join(f"{names[key]} {value}" for key, value in values.items())


def views(table: pd.DataFrame, steps: pd.DataFrame, machine: str) -> Iterator[View]:
    """A view for each model, device and dtype that has a measured case."""
    look = looks(table["strategy"])
    good = table[table["status"] == "ok"]
    keys = ["model", "device", "dtype", "threads"]
    several = good.groupby(keys).ngroups > 1
    for key, rows in good.groupby(keys, sort=False):
        model, device, dtype, threads = key
        mine = steps[(steps["model"] == model) & (steps["device"] == device) & (steps["dtype"] == dtype)]
        where = f"{machine}, {threads} {'thread' if threads == 1 else 'threads'}" if device == "cpu" else device
        bad = table[(table["model"] == model) & (table["device"] == device) & (table["status"] != "ok")]
        suffix = f"_{model}_{device}_{dtype}_{threads}" if several else ""
        broken = {str(s): "/".join(dict.fromkeys(b["status"])) for s, b in bad.groupby("strategy")}
        yield View(
            rows, mine, f"{model}, {dtype}, on {where}. Medians over {_rounds(rows)} rounds.", suffix, look, broken
        )


def _rounds(rows: pd.DataFrame) -> str:
    low, high = int(rows["rounds"].min()), int(rows["rounds"].max())
    return str(low) if low == high else f"{low} to {high}"


def exponent(x: pd.Series, y: pd.Series) -> float:
    """Slope of log y over log x by least squares: y grows like x to this power. NaN below two points.

    >>> round(exponent(pd.Series([1, 2, 4]), pd.Series([3, 12, 48])), 3)
    2.0
    """
    if x.nunique() < 2:
        return float("nan")
    return float(np.polyfit(np.log(x.astype(float)), np.log(y.astype(float)), 1)[0])
