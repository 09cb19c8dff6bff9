"""What approximate strategies lose and what they take, beside exact strategies in one cell, and this in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ..tables.columns import SPEED
from ..tables.exactness import exact_rows, is_exact
from ..words.comparison import Compared, direction, spoken
from ..words.quality import steps
from ..words.quantity import quantity
from .lost_quality import Measure, exact_percent, judged, measure_of
from .swept import largest
from .view import View

MOST_TOLD = 4
"""Greatest number of approximate strategies that a message names."""


@dataclass(frozen=True)
class Costs:
    """Strategies of one cell: what each loses and takes.

    ``rows`` have the columns ``percent`` (what is lost), ``ratio``, ``low`` and ``high`` (of the time to that of
    ``base``, with its interval), ``step_ratio`` (of the time per token to that of ``base``), ``verdict`` and ``bytes``
    (of K/V, per sentence). ``holder`` is the row of the exact strategy whose K/V bytes others are compared with, None
    without one.
    """

    measure: Measure
    rows: pd.DataFrame
    base: str
    holder: pd.Series | None

    @property
    def approximate(self) -> pd.DataFrame:
        """Rows of the approximate strategies, those that lose the least first."""
        return self.rows[~is_exact(self.rows)].sort_values(["percent", "bytes"], kind="stable")

    def share(self, row: pd.Series) -> float:
        """The K/V bytes of a row over those of the exact strategy; NaN without one."""
        return float(row["bytes"] / self.holder["bytes"]) if self.holder is not None else math.nan


def costs(view: View) -> Costs | None:
    """Find the largest cell that has an approximate strategy of known quality; None if there is no such cell."""
    measure = measure_of(view)
    if measure is None:
        return None
    rows = judged(view, measure).dropna(subset=["e2e_s", "kv_reserved_bytes"])
    found = largest(rows[~is_exact(rows)])
    if found.empty:
        return None
    rows = rows[rows["cell"] == found.sort_values("num_beams")["cell"].iloc[-1]]
    exact = exact_rows(rows).sort_values(SPEED, kind="stable")
    kind = "best" if rows["best_strategy"].iloc[0] in set(exact["strategy"]) else "e2e"
    times = [Compared.of(row, kind) for row in rows.to_dict("records")]
    rows = rows.assign(
        ratio=[one.ratio for one in times],
        low=[one.holm_low for one in times],
        high=[one.holm_high for one in times],
        verdict=[one.verdict for one in times],
        bytes=rows["kv_reserved_bytes"] / rows["batch_size"],
    )
    base = str(rows["best_strategy" if kind == "best" else "baseline"].iloc[0])
    rows = rows.assign(step_ratio=rows["tpot_s"] / rows.loc[rows["strategy"] == base, "tpot_s"].max())
    holding = rows.loc[exact.index]
    holding = holding[holding["bytes"] > 0]
    first = holding[holding["strategy"] == base]
    holder = next((row for part in (first, holding) for _, row in part.iterrows()), None)
    return Costs(measure, rows, base, holder)


def message(view: View, found: Costs) -> str:
    """Say of each approximate strategy what share of the K/V bytes it holds, at what loss, and how fast it is."""
    exact, rows = exact_percent(found.rows), found.approximate
    of = "" if found.holder is None else f" of the K/V bytes of {view.spoken(found.holder['strategy'])}"
    beside = f" (exact: {exact:.3g} %)" if exact == exact else ""
    same = found.holder is not None and found.holder["strategy"] == found.base
    than = "" if same else f" than {view.spoken(found.base)}"
    told = []
    for place, (_, row) in enumerate(rows.head(MOST_TOLD).iterrows()):
        held, error, name = _held(found.share(row), row["bytes"]), f"{row['percent']:.3g} %", spoken(row["strategy"])
        speed = _speed(row, than)
        than = "" if speed else than
        if place:
            told.append(f"{name} {held} at {error}{speed}")
        else:
            told.append(f"{name} holds {held}{of} at {error} {found.measure.label}{beside}{speed}")
    more = len(rows) - len(told)
    return "; ".join([*told, *[f"{more} more {'is' if more == 1 else 'are'} drawn"] * bool(more)])


def steps_note(found: Costs) -> str:
    """Sentence for the foot on strategies that end after other steps than an exact one; "" where none does."""
    told = [
        f"{spoken(row['strategy'])} after {ended[0]} instead of {ended[1]}"
        for row in found.rows.to_dict("records")
        if (ended := steps(row))
    ]
    return f" Ends after other steps, so its time is of other work: {', '.join(told)}." if told else ""


def _held(share: float, size: float) -> str:
    """The K/V bytes of a strategy as a share of those of an exact one, or where there is none as they are.

    >>> _held(0.2656, 3e6), _held(float("nan"), 2.0**20)
    ('27 %', '1.00 MiB of K/V')
    """
    return f"{100 * share:.2g} %" if share == share else f"{quantity(size, 'B')} of K/V"


def _speed(row: pd.Series, than: str) -> str:
    """How fast a strategy is beside the one that times are compared with, as far as the rounds show it.

    One that ends after other steps than an exact strategy is compared by the time of a step.
    """
    if steps(row.to_dict()):
        known = row["step_ratio"] == row["step_ratio"]
        return f", {direction(row['step_ratio'])} per step{than}" if known else ""
    if row["verdict"] in ("faster", "slower"):
        return f", {direction(row['ratio'])}{than}"
    return f", as fast{than.replace('than', 'as')}" if row["verdict"] == "indistinguishable" else ""
