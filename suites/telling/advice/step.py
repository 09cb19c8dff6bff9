"""Where the time of a decode step goes (bytes, FLOPs or dispatch), and therefore what would make it faster."""

from __future__ import annotations

import math

import pandas as pd

from ...ceilings.sentences import is_mixed, limit
from ...ceilings.step_parts import dispatch_share, parts, step_s
from ...words.comparison import spoken
from ...words.quantity import percent, quantity
from .rows import Row, cases, longest, named
from .section import Section

WASTEFUL = 1.5
"""Waste (executed over necessary FLOPs) above which remembering more earlier work would help most."""


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence for each case whose floor is known, in the longest cell of each batch size.

    Another sentence says what would help the quickest strategy, if that is known.
    """
    found = []
    for place, cell in cases(longest(rows[rows["floor_fraction"].notna()])):
        told = [f"{named(row)}, {quantity(step_s(row), 's')}: {shares(row)}" for row in cell]
        for row in cell:
            if row["strategy"] == row["best_strategy"] and is_decided(row):
                told.append(f"so {spoken(row['strategy'])} would gain from {remedy(row)}")
        found.append(Section(f"where the time of a step goes, {place}", told))
    return found


def shares(row: Row) -> str:
    """Say a step's shares in words: "25 % is reading weights, 50 % dispatch"."""
    said = {
        "bytes": f"is reading {_bytes(row)}{' from a cache' * (row['cache_resident'] > 0)}{_at_some_steps(row)}",
        "FLOPs": f"is arithmetic{_at_some_steps(row)}",
        "dispatch": "dispatch",
        "kernels": "kernels below the ceilings of this machine",
    }
    found, dispatch = parts(row), dispatch_share(row)
    if found.get("bytes", 0) > 1:
        return f"{_faster_than_memory(row)}; what else it waits for is not known"
    bound, *others = (f"{percent(share)} {said[name]}" for name, share in found.items())
    if math.isnan(dispatch):
        return f"{bound}, the rest is not known"
    if row["device"] == "cuda":
        longer = "dispatch (Python and launches)" if "dispatch" in found else "its kernels, not by dispatch"
        return f"{bound}; it is bound by {longer}: dispatch alone takes {percent(dispatch)} of the step"
    if not others:
        return (
            f"{bound}, the rest is not decided: dispatch alone took {percent(dispatch)} of this step when it was "
            "measured; measure again on a quieter machine"
        )
    return ", ".join([bound, *others])


def largest(row: Row) -> str:
    """Name the largest part of a row's step in one clause: "55 % of a step is kernels slower than this machine allows".

    On a GPU it says whether dispatch or the kernels bound the step; where parts are not decided, what is known.
    """
    found = parts(row)
    bound = next(iter(found))
    named = {
        "bytes": f"reading {_bytes(row)}{_at_some_steps(row)}",
        "FLOPs": f"arithmetic{_at_some_steps(row)}",
        "dispatch": "dispatch (Python and launches)",
        "kernels": "kernels slower than this machine allows",
    }
    if row["device"] == "cuda" and len(found) > 1:
        other = "dispatch (Python and launches)" if "dispatch" in found else "its kernels"
        return f"a step is bound by {other}, and {percent(found[bound])} of it is {named[bound]}"
    if found.get("bytes", 0) > 1:
        return f"a step {_faster_than_memory(row)}"
    most = max(found, key=lambda name: found[name])
    return f"{percent(found[most])} of a step is {named[most]}"


def _faster_than_memory(row: Row) -> str:
    """Say of a step that it took less time than its floor: memory was slower meanwhile, or a cache served it."""
    served = ", as a cache holds a part of them" if row["cache_resident"] > 0 else ""
    return f"reads its {_bytes(row)} {row['floor_fraction']:.2g}x as fast as this machine's memory was read{served}"


def _at_some_steps(row: Row) -> str:
    """Say, after the bound of a step, what is the bound at some steps instead; "" where that is the same at all."""
    if not is_mixed(row):
        return ""
    return f" (at some steps {'arithmetic' if limit(row) == 'bytes' else 'reading'})"


def _bytes(row: Row) -> str:
    """Say which bytes a step reads: weights, or weights and K/V."""
    weights = row["weight_share"]
    return "weights" if weights > 0.99 else f"bytes ({percent(weights)} of them weights)"


def is_decided(row: Row) -> bool:
    """Whether it is known what the step waits for, and so what would help."""
    return len(parts(row)) > 1


def remedy(row: Row) -> str:
    """Say what would reduce the largest part of the step."""
    found = parts(row)
    most = max(found, key=lambda name: found[name])
    if row["flops_waste"] > WASTEFUL and most != "dispatch":
        return f"remembering more: it does {row['flops_waste']:.1f}x the necessary FLOPs"
    if most == "bytes" and row["weight_share"] < 0.5:
        return "fewer or smaller K/V: fewer heads of them, or a smaller type"
    return {
        "bytes": "fewer bytes of weights (a smaller type), or a larger batch, which reads them once for all",
        "FLOPs": "a type that multiplies faster, or more cores",
        "dispatch": "fewer calls: a step that is compiled or captured, or a larger batch, which makes no more of them",
        "kernels": "better kernels: `python -m suites profile` shows which; contenders show what others reach",
    }[most]
