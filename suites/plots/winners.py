"""The map of winners for grids: the quickest strategy of each cell, the fainter the less certain."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ..words.comparison import Compared, spoken
from .ends import broken_up
from .style import RC, Legend, new_figure
from .view import View

CERTAIN, PROBABLE, OPEN = 1.0, 0.55, 0.2
"""Opacity of a cell: the next best is slower for certain, probably slower, or not told apart from the winner."""


def figure(view: View) -> Figure | None:
    """Draw a square for each cell. None unless two settings were swept, or where no quickest strategy is known."""
    column, label = view.axis
    groups = view.every_panel
    if view.table[column].nunique() < 2 or len(groups) < 2:
        return None
    cells = winners(view)
    if not cells:
        return None
    values = sorted(view.table[column].unique())
    foot = (
        f"{view.foot} {view.rounds} Each square: the quickest strategy, and how the next best compares with it, paired "
        "within rounds. Faint: their order is not certain."
    )
    names = list(dict.fromkeys(best for best, _ in cells.values()))
    entries: list[tuple[str, dict[str, Any]]] = [(view.name(s), {"color": view.looks[s].color}) for s in names]
    opacity = (("certain", CERTAIN), ("probable", PROBABLE), ("not certain", OPEN))
    entries += [(text, {"color": "#555555", "alpha": alpha}) for text, alpha in opacity]
    legend = Legend(entries, artist=Patch)
    drawn, [[axes]] = new_figure(message(cells), foot, legend, height=1.3 + 0.56 * len(groups))
    with mpl.rc_context(RC):
        for y, (title, _) in enumerate(groups):
            for x, value in enumerate(values):
                if (title, value) in cells:
                    _square(axes, view, x, y, *cells[title, value])
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_ylim(-0.5, len(groups) - 0.5)
        axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axes.set_yticks(range(len(groups)), [title for title, _ in groups])
        axes.grid(visible=False)
        axes.set_xlabel(label)
    return drawn


Cells = dict[tuple[str, Any], tuple[str, dict[Hashable, Any] | None]]
"""(title of the panel, value on the axis) -> (quickest strategy, row of the next best or None without another)."""


def winners(view: View) -> Cells:
    """Find the quickest strategy of each cell and the next best of our strategies; contenders are left out."""
    column, _ = view.axis
    found: Cells = {}
    for title, part in view.every_panel:
        for value, rows in part.groupby(column):
            ours = rows[rows["executed_flops"].notna() & rows["best_ratio"].notna()]
            best = ours[ours["strategy"] == ours["best_strategy"]]
            if best.empty:
                continue
            others = ours.drop(best.index[0]).sort_values("best_ratio", kind="stable").to_dict("records")
            found[title, value] = str(best["strategy"].iloc[0]), others[0] if others else None
    return found


def opacity_of(rival: dict[Hashable, Any] | None) -> float:
    """How certain it is that a cell's winner is quicker than the next best."""
    if rival is None or rival["best_verdict"] == "slower":
        return CERTAIN
    found = Compared.of(rival, "best")
    return PROBABLE if found.is_probable and found.low > 1 else OPEN


def message(cells: Cells) -> str:
    """Say which strategy is the quickest most often, and how many of the winners are certain."""
    best = pd.Series([name for name, _ in cells.values()]).value_counts()
    certain = sum(opacity_of(rival) == CERTAIN for _, rival in cells.values())
    told = f"{spoken(str(best.index[0]))} is the quickest in {best.iloc[0]} of {len(cells)} cells"
    return f"{told}; {certain or 'none'} of the {len(cells)} winners {'is' if certain < 2 else 'are'} certain"


def _square(axes: Axes, view: View, x: int, y: int, best: str, rival: dict[Hashable, Any] | None) -> None:
    alpha = opacity_of(rival)
    red, green, blue = (1 - alpha * (1 - part) for part in to_rgb(view.looks[best].color))
    ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
    color = (red, green, blue)
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=color, edgecolor="#888888", linewidth=0.5))
    told = broken_up(view.name(best))
    if rival is not None:
        compared = re.split(r": | \(", Compared.of(rival, "best").words)[0]
        told += f"\nnext: {view.name(str(rival['strategy']))},\n{compared}"
    axes.text(x, y, told, ha="center", va="center", fontsize=7, color=ink, linespacing=1.1)
