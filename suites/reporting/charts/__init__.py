"""Charts of the report, one subject per file. They show the same view as the plots, with the same messages."""

from __future__ import annotations

from altair.utils.schemapi import debug_mode

from ...plots.view import View
from . import beams, flops, loss, memory, quality, roles, roofline, speedup, step_parts, steps, totals
from .chart import Chart
from .legend import Legend, legend_of

__all__ = ["PARTS", "Chart", "Legend", "charts_of", "legend_of"]

PARTS = {
    "time": (totals, step_parts),
    "quality": (quality, loss, beams),
    "plots": (speedup, steps, flops, roles),
    "roofline": (roofline,),
    "memory": (memory,),
}
"""Part of the page -> modules whose charts are drawn there. The first chart of "time" is the headline."""


def charts_of(view: View) -> dict[str, list[Chart]]:
    """Map each part of the page to its charts, without those for which the view has no data."""
    with debug_mode(False):  # checking each part of a specification takes half the time; tests check the whole
        return {part: [chart for module in modules for chart in module.charts(view)] for part, modules in PARTS.items()}
