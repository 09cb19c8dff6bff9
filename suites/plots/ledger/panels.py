"""Panels of a picture: strategies with equal numbers share a panel, panels of like size share a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from ...ledger.column import letters
from ..style import WIDTH_IN
from .canvas import width_in

COLUMNS = 2
CROSS_KV = ("cross.kv", "cross.k", "cross.v")
"""Products that turn the encoder's output into K and V."""
NEAR = 3.0
"""Panels share a scale if the largest is at most this many times the smallest."""


@dataclass(frozen=True)
class Panel:
    """Strategies whose numbers are equal, and the numbers: one row per recorded step k, one column per curve."""

    strategies: tuple[str, ...]
    values: pd.DataFrame

    @property
    def name(self) -> str:
        """Names of the strategies, for a sentence."""
        return (
            self.strategies[0]
            if len(self.strategies) == 1
            else f"{', '.join(self.strategies[:-1])} and {self.strategies[-1]}"
        )

    @property
    def columns(self) -> list[str]:
        """Names of the curves or areas that are drawn."""
        return [str(name) for name in self.values]

    @property
    def total(self) -> pd.Series:
        """Sum over the columns, for each k."""
        return self.values.sum(axis=1)

    def write_title(self, axes: Axes, columns: int) -> None:
        """Write one strategy per line as the title, in smaller letters if one is too long for a panel."""
        widest = max(width_in(strategy, 8.5, bold=True) for strategy in self.strategies)
        room = (WIDTH_IN - 0.6) / columns - 0.1
        axes.set_title("\n".join(self.strategies), fontsize=8.5 * min(1.0, room / widest))

    @property
    def last(self) -> int:
        """The last recorded k."""
        return int(self.values.index[-1])


def beams_of(ledger: pd.DataFrame) -> int:
    """Beams of a sentence in a ledger, W; 1 without beam search."""
    return letters(ledger).get("W", 1)


def source_told(ledger: pd.DataFrame, src_len: int) -> str:
    """Say how long a source is: in tokens, or in positions where it holds features."""
    of = "positions" if ledger["role"].str.startswith("encoder.front_end.").any() else "tokens"
    return f"source {src_len} {of}"


def steps_at(ledger: pd.DataFrame, src_len: int) -> pd.DataFrame:
    """Select the rows of all recorded steps at one source length."""
    return ledger[(ledger["phase"] == "step") & (ledger["src_len"] == src_len)]


def prefix_rows(ledger: pd.DataFrame, src_len: int) -> pd.DataFrame:
    """Select the decoder's products of the pass in which prefill feeds rows of a prefix; none without a prefix."""
    rows = ledger[(ledger["phase"] == "prefill") & (ledger["src_len"] == src_len)]
    return rows[(rows["part"] != "encoder") & ~rows["role"].isin(CROSS_KV)]


def prefilled(ledger: pd.DataFrame, src_len: int) -> dict[str, int]:
    """Map each strategy for which prefill feeds rows of a prefix to the number of these rows in a sentence."""
    rows = prefix_rows(ledger, src_len)
    rows = rows[rows["role"] == "cross.q"]
    return {str(row["strategy"]): int(row["rows"]) // int(row["batch_size"]) for row in rows.to_dict("records")}


def merge(found: dict[str, pd.DataFrame]) -> list[Panel]:
    """Make panels from strategy -> values, in the order given. Strategies with equal values share a panel."""
    panels: list[Panel] = []
    for strategy, values in found.items():
        for place, panel in enumerate(panels):
            if panel.values.equals(values):
                panels[place] = Panel((*panel.strategies, strategy), values)
                break
        else:
            panels.append(Panel((strategy,), values))
    return panels


def by_scale(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Group the panels that share a scale, since they are of like size; the largest come first."""
    scales: list[list[Panel]] = []
    for panel in sorted(panels, key=lambda panel: -panel.total.max()):
        if not scales or scales[-1][0].total.max() > NEAR * panel.total.max():
            scales.append([])
        scales[-1].append(panel)
    return scales


def in_rows(panels: Sequence[Panel], columns: int = COLUMNS) -> list[list[Panel]]:
    """Divide panels into rows of at most ``columns``."""
    return [list(panels[start : start + columns]) for start in range(0, len(panels), columns)]
