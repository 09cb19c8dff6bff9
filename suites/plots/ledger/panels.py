"""Which strategies share a panel, and which panels share a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from ..style import WIDTH_IN
from .canvas import width_in

COLUMNS = 2
NEAR = 3.0
"""Panels are on one scale while the largest is at most so many times the smallest."""


@dataclass(frozen=True)
class Panel:
    """Strategies whose numbers are equal, and these: one row a recorded step k, one column each of what is drawn."""

    strategies: tuple[str, ...]
    values: pd.DataFrame

    @property
    def name(self) -> str:
        """For a sentence."""
        return (
            self.strategies[0]
            if len(self.strategies) == 1
            else f"{', '.join(self.strategies[:-1])} and {self.strategies[-1]}"
        )

    @property
    def columns(self) -> list[str]:
        """Names of what is drawn."""
        return [str(name) for name in self.values]

    @property
    def total(self) -> pd.Series:
        """Over columns, by k."""
        return self.values.sum(axis=1)

    def write_title(self, axes: Axes, columns: int) -> None:
        """One strategy a line, smaller where one is too long for a panel."""
        widest = max(width_in(strategy, 8.5, bold=True) for strategy in self.strategies)
        room = (WIDTH_IN - 0.6) / columns - 0.1
        axes.set_title("\n".join(self.strategies), fontsize=8.5 * min(1.0, room / widest))

    @property
    def last(self) -> int:
        """The last recorded k."""
        return int(self.values.index[-1])


def steps_at(ledger: pd.DataFrame, src_len: int) -> pd.DataFrame:
    """Rows of all recorded steps with that source length."""
    return ledger[(ledger["phase"] == "step") & (ledger["src_len"] == src_len)]


def merge(found: dict[str, pd.DataFrame]) -> list[Panel]:
    """Strategy -> values, those with equal values as one, in the order given."""
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
    """Panels of like size together, the largest first: those that go on one scale."""
    scales: list[list[Panel]] = []
    for panel in sorted(panels, key=lambda panel: -panel.total.max()):
        if not scales or scales[-1][0].total.max() > NEAR * panel.total.max():
            scales.append([])
        scales[-1].append(panel)
    return scales


def in_rows(panels: Sequence[Panel], columns: int = COLUMNS) -> list[list[Panel]]:
    """At most so many side by side."""
    return [list(panels[start : start + columns]) for start in range(0, len(panels), columns)]
