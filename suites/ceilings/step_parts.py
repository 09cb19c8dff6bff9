"""What the time of a decode step goes to: bytes or FLOPs, dispatch, and kernels; from a row of the table of cases."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

from .sentences import limit

BOUND_BY_DISPATCH = 0.9
"""Share of a GPU's step from which on dispatch, measured alone, counts as what the step waits for."""


def step_s(row: Mapping[Hashable, Any]) -> float:
    """Mean time of a decode step in seconds, the first step included."""
    return float(row["floor_s"] / row["floor_fraction"])


def dispatch_share(row: Mapping[Hashable, Any]) -> float:
    """Dispatch, which is measured apart, as a share of the row's mean step; NaN if it was not measured."""
    return float(row["dispatch_s"] / step_s(row))


def parts(row: Mapping[Hashable, Any]) -> dict[str, float]:
    """Split a row's decode step into shares: of its bound ("bytes" or "FLOPs"), of "dispatch" and of "kernels".

    The share of the bound is that of the floor, ``floor_fraction``: bytes and FLOPs overlap inside a kernel, so only
    the larger of the two counts at each step. Its name is the larger of the two over all steps; some steps may be bound
    by the other (``sentences.is_mixed``). "kernels" is the time that kernels take beyond the floor.

    On a CPU dispatch comes on top, and the three shares add up to the step. If floor and dispatch together exceed the
    step, the machine was disturbed, and only the bound is returned. On a GPU dispatch runs beside the kernels. There
    the bound is returned with "dispatch" if that takes at least ``BOUND_BY_DISPATCH`` of the step, in which case the
    two shares may exceed it, and otherwise with "kernels". If dispatch was not measured, the bound is returned alone.
    """
    bound = limit(row)
    found = {bound: float(row["floor_fraction"])}
    dispatch, rest = dispatch_share(row), 1 - found[bound]
    if math.isnan(dispatch):
        return found
    if row["device"] == "cuda":
        return found | ({"dispatch": dispatch} if dispatch >= BOUND_BY_DISPATCH else {"kernels": max(0.0, rest)})
    if dispatch > rest:
        return found
    return found | {"dispatch": dispatch, "kernels": rest - dispatch}
