"""An axis of a chart: its title, its scale and its ticks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from ...plots.swept import LINEAR

PADDING_PX = 10
LABEL_MAX = 24
"""Greatest number of characters of a name in its first line."""


@dataclass(frozen=True)
class Axis:
    """An axis of a chart.

    ``ticks`` are the values that were measured; with them the scale is logarithmic, to base 2. Without them, ``log``
    allows a logarithmic scale, ``top`` is where the scale ends, and ``bottom`` where a logarithmic one begins.
    """

    title: str
    ticks: tuple[float, ...] = ()
    log: bool = False
    top: float | None = None
    bottom: float | None = None

    def scale(self, values: pd.Series) -> alt.Scale:
        """Choose the scale for these values.

        Without ticks it is linear from zero, unless ``log`` is set and the highest value is at least three times the
        lowest, as in the plots.
        """
        if self.ticks:
            return alt.Scale(type="log", base=2, nice=False, padding=PADDING_PX)
        low, high = values.min(), values.max()
        if self.log and 0 < low * 3 <= high:
            limits = {"domainMin": self.bottom, "domainMax": self.top}
            known: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
            return alt.Scale(type="log", nice=False, padding=PADDING_PX, **known)
        if self.top is not None:
            return alt.Scale(domainMin=0, domainMax=self.top, nice=False)
        return alt.Scale(zero=True, domainMin=0)

    def drawn(self) -> alt.Axis:
        """The axis with its ticks and grid."""
        if self.ticks:
            return alt.Axis(values=list(self.ticks), format="d", title=self.title)
        return alt.Axis(title=self.title, tickCount=6)


def names_axis() -> alt.Axis:
    """The axis of the names of bars. A name longer than ``LABEL_MAX`` goes on in a second line, a remark in its own."""
    remarked = "replace(datum.label, ' (', '\\n(')"
    lines = f"split(replace({remarked}, /^(?=.{{{LABEL_MAX + 1}}})(.{{1,{LABEL_MAX - 1}}}[(,_ ])/, '$1\\n'), '\\n')"
    return alt.Axis(title=None, labelLimit=165, labelExpr=f"length(datum.label) > {LABEL_MAX} ? {lines} : datum.label")


def ticks_of(values: pd.Series, column: str) -> tuple[float, ...]:
    """The values that were measured, in order; none for a column whose axis is linear (``plots.swept``)."""
    if column in LINEAR:
        return ()
    return tuple(sorted(float(value) for value in values.unique()))
