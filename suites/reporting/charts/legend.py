"""The legend of a page: one for all charts of a part, with a box that switches each strategy on and off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...plots.looks import Look
from .chart import Chart
from .encodings import dash_of
from .swatch import swatches


@dataclass(frozen=True)
class Legend:
    """The look of every curve that some chart of a part shows, by label. ``name`` is the id of the element."""

    name: str
    looks: Mapping[str, Look]

    @property
    def style(self) -> str:
        """Style sheet that shows each look beside its box."""
        return swatches(self.name, self.looks, {label: dash_of(look) for label, look in self.looks.items()})


def legend_of(charts: Iterable[Chart], name: str) -> Legend:
    """Collect the looks of these charts, in the order in which they are met."""
    return Legend(name, {label: look for chart in charts for label, look in chart.looks.items()})
