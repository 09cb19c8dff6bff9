"""Charts of the report, one subject a file, from the same view of a table as the plots, with the same message."""

from __future__ import annotations

from altair.utils.schemapi import debug_mode

from ...plots.view import View
from . import flops, memory, ratio, roles, roofline, steps, totals
from .chart import Chart

__all__ = ["PARTS", "Chart", "charts_of"]

PARTS = {
    "time": (totals,),
    "plots": (ratio, steps, flops, roles),
    "roofline": (roofline,),
    "memory": (memory,),
}
"""Part of the page -> what is drawn there. The first chart of "time" is the headline."""


def charts_of(view: View) -> dict[str, list[Chart]]:
    """Part of the page -> its charts, as far as the view has what they show."""
    with debug_mode(False):  # each part of a specification would be checked anew: half the time; tests check the whole
        return {part: [chart for module in modules for chart in module.charts(view)] for part, modules in PARTS.items()}
