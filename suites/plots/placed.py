"""Points of the roofline: where the strategies of a view's last cell lie under the ceilings of the machine."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..ceilings.columns import CEILINGS
from ..ceilings.floor import Spread
from .view import View

PHASES = {"prefill": ("prefill_mfu", "prefill_mbu"), "decode": ("mfu", "mbu")}


def case_of(view: View) -> pd.DataFrame | None:
    """Select the rows of the last cell of the axis, one per strategy.

    None if the run has no ceilings (a folder of an earlier version) or no strategy with known FLOPs and times.
    """
    view = view.having("floor_fraction").having(CEILINGS[0])  # earlier versions kept no ceilings for contenders
    if view.table.empty:
        return None
    column, _ = view.axis
    _, rows = view.panels[-1]
    return rows[rows[column] == rows[column].max()].drop_duplicates("strategy")


def roof_of(rows: pd.DataFrame) -> tuple[Spread, Spread]:
    """Read bandwidth in 1e9 bytes per second and GEMM peak in 1e9 FLOPs per second, of the cell that has these rows."""
    case = rows.iloc[0]
    read, gemm = (
        Spread(*(float(case[f"ceiling_{kind}{part}_{unit}"]) for part in ("", "_low", "_high")))
        for kind, unit in (("read", "gb_per_s"), ("gemm", "gflops_per_s"))
    )
    return read, gemm


@dataclass(frozen=True)
class Point:
    """One phase of a strategy: ``intensity`` in FLOPs per byte, and ``flops_per_s`` in 1e9 FLOPs per second."""

    strategy: str
    phase: str
    intensity: float
    flops_per_s: float


def points_of(rows: pd.DataFrame) -> list[Point]:
    """Place each strategy in prefill and in decode, where its figures are known."""
    read, gemm = roof_of(rows)
    return [
        Point(str(row["strategy"]), phase, flops / (row[mbu] * read.median), flops)
        for row in rows.to_dict("records")
        for phase, (mfu, mbu) in PHASES.items()
        if (flops := row[mfu] * gemm.median) > 0
    ]
