"""Names beside points: each at the nearest place where it lies upon no other name, no mark, and not over the edge."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from .ends import LINE_IN, darker

SIZE = 7.5
CHARACTER_IN = 0.058
"""Width of a character, on average, in inches."""
BOLD_IN = 0.01
"""How much wider one is that is bold."""
MARK_IN = 0.075
"""Half the width of a mark, with the room around it, in inches."""
RULE_IN = 0.03
"""Half the height that is left free around a horizontal line, in inches."""
UPON, RULED = 40.0, 4.0
"""Cost of a square inch of a name that lies upon a mark or another name, or over the edge, and upon a line; an inch of
distance costs 1."""
BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
FAR_IN = 0.4
"""Distance from its point, in inches, from which on a thin line joins a name to it."""
STEPS = range(9)
"""How far a name may move up or down, in half lines."""


@dataclass(frozen=True)
class Named:
    """A point of the plot in the scales of its axes, and its name, which may have several lines."""

    x: float
    y: float
    name: str
    color: str
    bold: bool = False


Place = Sequence[float]
"""Place of a point in inches from the lower left corner of the axes."""
Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in inches from the lower left corner of the axes."""


def name_points(axes: Axes, points: Sequence[Named], size_in: tuple[float, float], lines: Sequence[float] = ()) -> None:
    """Write the name of each point beside it. Call it when the scales are set.

    ``size_in`` are the width and the height of the axes in inches. Names leave the heights ``lines`` free, in the scale
    of the axes, where horizontal lines are.
    """
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    placed = axes.transScale + axes.transLimits
    places = [(placed.transform((point.x, point.y)) * size_in).tolist() for point in points]
    heights = [float((placed.transform((1.0, line)) * size_in)[1]) for line in lines]
    rules = [(0.0, height - RULE_IN, size_in[0], height + RULE_IN) for height in heights]
    for point, place, box in zip(points, places, _boxes(points, places, rules, size_in), strict=True):
        left = (box[0] + box[2]) / 2 >= place[0]
        arrow = {"arrowstyle": "-", "color": point.color, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3,
                 "relpos": (0.0 if left else 1.0, 0.5)}  # fmt: skip
        at = (box[0] if left else box[2]) / size_in[0], (box[1] + box[3]) / 2 / size_in[1]
        axes.annotate(point.name, (point.x, point.y), at, xycoords="data", textcoords="axes fraction", fontsize=SIZE,
                      ha="left" if left else "right", va="center", linespacing=1.0, color=darker(point.color),
                      annotation_clip=False, bbox=BOX, fontweight="bold" if point.bold else "normal", zorder=4,
                      arrowprops=arrow if _distance(box, place) > FAR_IN else None)  # fmt: skip


def _boxes(
    points: Sequence[Named], places: Sequence[Place], rules: Sequence[Box], size_in: tuple[float, float]
) -> list[Box]:
    """Where the names stand: of several orders of placing them, that which costs the least.

    A name costs its distance from its point, in inches, and what it lies upon: marks and other names cost more than
    ``rules``.
    """
    marks = [(x - MARK_IN, y - MARK_IN, x + MARK_IN, y + MARK_IN) for x, y in places]
    inside = (0.0, 0.0, *size_in)
    across = sorted(range(len(points)), key=lambda i: places[i][0])
    least, best = math.inf, dict[int, Box]()
    for order in (order[at:] + order[:at] for order in (across, across[::-1]) for at in range(len(across))):
        found: dict[int, Box] = {}
        total = 0.0
        for i in order:
            taken = [*marks, *found.values()]

            def cost(box: Box, i: int = i, taken: Sequence[Box] = taken) -> float:
                upon = sum(_shared(box, other) for other in taken) + _area(box) - _shared(box, inside)
                ruled = sum(_shared(box, rule) for rule in rules)
                return _distance(box, places[i]) + UPON * upon + RULED * ruled

            found[i] = min(_around(points[i], places[i]), key=cost)
            total += cost(found[i])
        if total < least:
            least, best = total, found
    return [best[i] for i in range(len(points))]


def _around(point: Named, place: Place) -> list[Box]:
    """Where a name may stand: on the right and the left of its point, and above and below it."""
    (x, y), words = place, point.name.split("\n")
    wide, high = (CHARACTER_IN + BOLD_IN * point.bold) * max(map(len, words)), LINE_IN * len(words)
    found = []
    for step, sign in itertools.product(STEPS, (1, -1)):
        low = y - high / 2 + sign * step * LINE_IN / 2
        for left in (x + MARK_IN, x - MARK_IN - wide):
            found.append((left, low, left + wide, low + high))
        if abs(low + high / 2 - y) > high / 2 + MARK_IN:
            found.append((x - wide / 2, low, x + wide / 2, low + high))
    return found


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _shared(one: Box, other: Box) -> float:
    """The area that two boxes share, in square inches."""
    wide, high = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return wide * high if wide > 0 and high > 0 else 0.0


def _distance(box: Box, place: Place) -> float:
    """How far a name is from its point, in inches: its nearer end across, its middle upwards."""
    x, y = place
    return max(box[0] - x, x - box[2], 0.0) + abs((box[1] + box[3]) / 2 - y)
