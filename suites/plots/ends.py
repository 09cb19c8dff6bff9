"""Names at the ends of curves, which replace a legend where they fit beside the plot without overlap."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from .view import View

LINE_IN = 0.135
"""Height of a line of a name, in inches."""
LONGEST = 27
"""Greatest number of characters in a line of a name."""
MOST_HEIGHT = 0.85
"""Share of a plot's height that names may take."""


def broken_up(name: str) -> str:
    """Break a name before its options and its remarks, so that it is narrow.

    >>> broken_up("static_kv(execution=graph,read=bucket)").split(chr(10))
    ['static_kv', '(execution=graph,', 'read=bucket)']
    """
    return name if len(name) <= 16 else re.sub(r",(?! )", ",\n", re.sub(r" ?\(", "\n(", name, count=1))


def fit(names: Sequence[str], height_in: float) -> bool:
    """Whether the names fit at the right of a plot that is ``height_in`` inches high, without overlap."""
    lines = [line for name in names for line in broken_up(name).split("\n")]
    return max(map(len, lines), default=0) <= LONGEST and len(lines) * LINE_IN <= MOST_HEIGHT * height_in


def ends_of(view: View, column: str, x: str) -> bool:
    """Whether every strategy of the view has a value of ``column`` in its last panel, where its name can stand."""
    rows = view.panels[-1][1]
    return set(rows[rows[column].notna() & rows[x].notna()]["strategy"]) == set(view.strategies)


def name_ends(axes: Axes, ends: Mapping[str, tuple[float, float, Any]], height_in: float) -> None:
    """Write each name at the right of the axes, as high as the last point of its curve or as near as there is room.

    ``ends`` maps a name to that point, (x, y), and the colour of the curve. A thin line joins the two if they are
    apart. Call it when everything is drawn and the scales are set. ``height_in`` is the height of the axes, in inches.
    """
    line = LINE_IN / height_in
    axes.set_ylim(axes.get_ylim())
    placed = axes.transScale + axes.transLimits
    texts = [(broken_up(name), x, y, color) for name, (x, y, color) in ends.items() if math.isfinite(y)]
    texts.sort(key=lambda entry: entry[2])
    wanted = [float(placed.transform((x, y))[1]) for _, x, y, _ in texts]
    sizes = [line * (text.count("\n") + 1) for text, *_ in texts]
    places = list(zip(texts, wanted, spread(wanted, sizes), strict=True))
    apart = [abs(at - height) > 0.6 * line for _, at, height in places]
    start = 1.06 if any(apart) else 1.03
    for ((text, x, y, color), _, height), joined in zip(places, apart, strict=True):
        arrow = {"arrowstyle": "-", "color": color, "linewidth": 0.6, "relpos": (0.0, 0.5), "shrinkA": 1, "shrinkB": 3}
        axes.annotate(
            text, (x, y), (start, height), xycoords="data", textcoords="axes fraction", fontsize=7.5, va="center",
            color=darker(color), linespacing=1.0, annotation_clip=False, arrowprops=arrow if joined else None,
        )  # fmt: skip


def spread(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Move places, which are in ascending order, apart so that texts of these sizes do not overlap, by least squares.

    Places that come into contact form a block, which stands where its members want to stand on average.

    >>> spread([0.1, 0.5, 0.5], [0.1, 0.2, 0.2])
    [0.1, 0.4, 0.6]
    """
    blocks: list[tuple[list[float], list[float]]] = []  # (wanted places less their offset in the block, offsets)
    for at, size in zip(wanted, sizes, strict=True):
        blocks.append(([at], [size]))
        while len(blocks) > 1:
            low, high = _spans(*blocks[-2])[1], _spans(*blocks[-1])[0]
            if low <= high + 1e-9:
                break
            places, heights = blocks.pop()
            blocks[-1] = ([*blocks[-1][0], *places], [*blocks[-1][1], *heights])
    found: list[float] = []
    for places, heights in blocks:
        start, _ = _spans(places, heights)
        for height in heights:
            found.append(round(start + height / 2, 9))
            start += height
    return found


def _spans(places: Sequence[float], heights: Sequence[float]) -> tuple[float, float]:
    """Lower and upper end of a block of texts in contact."""
    offsets = [sum(heights[:i]) + height / 2 for i, height in enumerate(heights)]
    start = sum(at - offset for at, offset in zip(places, offsets, strict=True)) / len(places)
    start = max(min(start, 1.08 - sum(heights)), -0.08)
    return start, start + sum(heights)


def darker(color: str) -> tuple[float, ...]:
    """A colour of the same hue that can be read as text on white."""
    return tuple(0.72 * part for part in to_rgb(color))


def panel_height_in(height: float, rows: int = 1) -> float:
    """Height of one of ``rows`` rows of axes, in inches, in a figure of ``height`` without legend; a little too low."""
    return max(0.5, (height - 0.95) / rows - 0.3)


def named(view: View, height_in: float) -> bool:
    """Whether the names of a view's strategies fit at the ends of its curves."""
    return fit([view.name(s) for s in view.strategies], height_in)
