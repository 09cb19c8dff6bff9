"""Where the time of a decode step goes, bytes, FLOPs or dispatch, and so what would help."""

from __future__ import annotations

import math

import pandas as pd

from ..ceilings.sentences import limit
from ..quantity import percent, quantity
from .rows import Row, cases, longest
from .section import Section

WASTEFUL = 1.5
"""Times the necessary FLOPs from which remembering more would help most."""


def sections(rows: pd.DataFrame) -> list[Section]:
    """A sentence each whose floor is known, at the longest case of each batch; and what would help our quickest."""
    found = []
    for place, cell in cases(longest(rows[rows["floor_fraction"].notna()])):
        told = [f"{row['strategy']}, {quantity(_step_s(row), 's')}: {shares(row)}" for row in cell]
        for row in cell:
            if row["strategy"] == row["best_strategy"] and "dispatch" in parts(row):
                told.append(f"so {row['strategy']} would gain from {remedy(row)}")
        found.append(Section(f"where the time of a step goes, {place}", told))
    return found


def _step_s(row: Row) -> float:
    """The mean decode step, the first included."""
    return float(row["floor_s"] / row["floor_fraction"])


def parts(row: Row) -> dict[str, float]:
    """Shares of a step: its bound (bytes or FLOPs), dispatch, and "kernels": how far these fell short of the ceilings.

    Bytes and FLOPs overlap inside a kernel, so the larger counts. On a CPU dispatch comes on top; on a GPU it runs
    beside the kernels, so there the parts may add up to more than the step.
    """
    bound = limit(row)
    found = {bound: float(row["mbu"] if bound == "bytes" else row["mfu"])}
    if not math.isnan(row["dispatch_s"]):
        found["dispatch"] = float(row["dispatch_s"] / _step_s(row))
        found["kernels"] = max(0.0, 1 - sum(found.values()))
    return found


def shares(row: Row) -> str:
    """In words: "25 % is reading weights, 50 % dispatch"."""
    said = {
        "bytes": "is reading {share}" + (" from a cache" if row["cache_resident"] > 0 else ""),
        "FLOPs": "is arithmetic",
        "dispatch": "dispatch",
        "kernels": "kernels below the ceilings of this machine",
    }
    found = parts(row)
    told = [f"{percent(share)} {said[name].format(share=_bytes(row))}" for name, share in found.items()]
    if "dispatch" not in found:
        told.append("the rest is not known")
    return ", ".join(told)


def _bytes(row: Row) -> str:
    """Which bytes."""
    weights = row["weight_share"]
    return "weights" if weights > 0.99 else f"bytes ({percent(weights)} of them weights)"


def remedy(row: Row) -> str:
    """What would help where the largest part of the step goes."""
    found = parts(row)
    most = max(found, key=lambda name: found[name])
    if row["flops_waste"] > WASTEFUL and most != "dispatch":
        return f"remembering more: it does {row['flops_waste']:.1f}x the necessary FLOPs"
    if most == "bytes" and row["weight_share"] < 0.5:
        return "fewer or smaller K/V: fewer heads of them, or a smaller type"
    return {
        "bytes": "fewer bytes of weights (a smaller type), or a larger batch, which reads them once for all",
        "FLOPs": "a type that multiplies faster, or more cores",
        "dispatch": "fewer calls: a step that is compiled or captured, or a larger batch, which makes as many",
        "kernels": "better kernels: `python -m suites profile` shows which; contenders show what others reach",
    }[most]
