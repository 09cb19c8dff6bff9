"""The map of winners for grids: the quickest exact strategy of each cell, the fainter the less certain."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ..tables.exactness import rankable
from ..words.comparison import Compared
from .ends import broken_up
from .style import RC, Legend, new_figure
from .view import View

CERTAIN, PROBABLE, OPEN = 1.0, 0.55, 0.2
"""Opacity of a cell: the next best is slower for certain, probably slower, or not told apart from the winner."""
MOST_TOLD = 12
"""Greatest number of rows, and of columns, whose squares have room for words."""


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
    room = len(values) <= MOST_TOLD and len(groups) <= MOST_TOLD
    told = (
        "and how the next best compares with it, paired within rounds. Faint: their order is not certain."
        if room
        else "fainter where its order with the next best is not certain."
    )
    kind = "exact strategy" if view.sets_aside else "strategy"
    foot = f"{view.foot} {view.rounds} Each square: the quickest {kind}, {told}"
    names = list(dict.fromkeys(best for best, _ in cells.values()))
    entries: list[tuple[str, dict[str, Any]]] = [(view.name(s), {"color": view.looks[s].color}) for s in names]
    opacity = (("certain", CERTAIN), ("probable", PROBABLE), ("not certain", OPEN))
    entries += [(text, {"color": "#555555", "alpha": alpha}) for text, alpha in opacity]
    legend = Legend(entries, artist=Patch)
    drawn, [[axes]] = new_figure(message(view, cells), foot, legend, height=1.3 + 0.56 * min(len(groups), MOST_TOLD))
    with mpl.rc_context(RC):
        places = {
            (x, y): cells[title, value]
            for y, (title, _) in enumerate(groups)
            for x, value in enumerate(values)
            if (title, value) in cells
        }
        if room:
            for (x, y), (best, rival) in places.items():
                _square(axes, view, x, y, best, rival)
        else:
            _image(axes, view, places, (len(groups), len(values)))
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_ylim(-0.5, len(groups) - 0.5)
        columns, rows = _some(len(values)), _some(len(groups))
        axes.set_xticks(columns, [f"{values[x]:g}" for x in columns])
        axes.set_yticks(rows, [groups[y][0] for y in rows])
        axes.grid(visible=False)
        axes.set_xlabel(label)
    return drawn


Winner = tuple[str, dict[Hashable, Any] | None]
"""The quickest strategy of a cell, and the row of the next best, None without another."""
Cells = dict[tuple[str, Any], Winner]
"""(title of the panel, value on the axis) -> the cell's winner."""


def winners(view: View) -> Cells:
    """Find the quickest strategy of each cell and the next best of our strategies.

    Contenders are left out, and approximate strategies where an exact one is there.
    """
    column, _ = view.axis
    found: Cells = {}
    for title, part in view.every_panel:
        ours = rankable(part[part["executed_flops"].notna() & part["best_ratio"].notna()])
        by_value: dict[Any, list[dict[Hashable, Any]]] = {}
        for row in ours.sort_values([column, "best_ratio"], kind="stable").to_dict("records"):
            by_value.setdefault(row[column], []).append(row)
        for value, rows in by_value.items():
            best = next((row for row in rows if row["strategy"] == row["best_strategy"]), None)
            if best is not None:
                rival = next((row for row in rows if row is not best), None)
                found[title, value] = str(best["strategy"]), rival
    return found


def _some(count: int) -> list[int]:
    """Indices of at most ``MOST_TOLD`` of ``count`` rows or columns, evenly spread: those that are named."""
    step = max(1, -(-count // MOST_TOLD))
    return list(range(0, count, step))


def opacity_of(rival: dict[Hashable, Any] | None) -> float:
    """How certain it is that a cell's winner is quicker than the next best."""
    if rival is None or rival["best_verdict"] == "slower":
        return CERTAIN
    found = Compared.of(rival, "best")
    return PROBABLE if found.is_probable and found.low > 1 else OPEN


def message(view: View, cells: Cells) -> str:
    """Say which strategy is the quickest most often, and how many of the winners are certain."""
    best = pd.Series([name for name, _ in cells.values()]).value_counts()
    certain = sum(opacity_of(rival) == CERTAIN for _, rival in cells.values())
    kind = " exact strategy" if view.sets_aside else ""
    told = f"{view.spoken(best.index[0])} is the quickest{kind} in {best.iloc[0]} of {len(cells)} cells"
    return f"{told}; {certain or 'none'} of the {len(cells)} winners {'is' if certain < 2 else 'are'} certain"


def _color(view: View, best: str, rival: dict[Hashable, Any] | None) -> tuple[float, ...]:
    """The colour of a strategy, the fainter the less certain it is that it is the quickest."""
    alpha = opacity_of(rival)
    return tuple(1 - alpha * (1 - part) for part in to_rgb(view.looks[best].color))


def _square(axes: Axes, view: View, x: int, y: int, best: str, rival: dict[Hashable, Any] | None) -> None:
    """Draw a cell with words in it."""
    red, green, blue = color = _color(view, best, rival)
    ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=color, edgecolor="#888888", linewidth=0.5))
    words = broken_up(view.name(best))
    if rival is not None:
        compared = re.split(r": | \(", Compared.of(rival, "best").words)[0]
        words += f"\nnext: {view.name(str(rival['strategy']))},\n{compared}"
    axes.text(x, y, words, ha="center", va="center", fontsize=7, color=ink, linespacing=1.1)


def _image(axes: Axes, view: View, places: Mapping[tuple[int, int], Winner], shape: tuple[int, int]) -> None:
    """Draw many cells as an image, without words; a place without a cell stays empty."""
    pixels = np.zeros((*shape, 4))
    for (x, y), winner in places.items():
        pixels[y, x] = *_color(view, *winner), 1
    axes.imshow(pixels, aspect="auto", interpolation="nearest", origin="lower")
