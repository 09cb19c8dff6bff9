"""Boxes, edges and labels of a diagram, in inches. Their looks show what makes the tensor or the product larger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

from .tensor import Mark, Tensor

Point = tuple[float, float]
Side = Literal["above", "below", "middle"]
TEXT_PT = 7.4
LINE_IN = 0.122
DASHES = (0, (3.2, 1.8))


@dataclass(frozen=True)
class Look:
    """Colours and line width of a mark, in points."""

    color: str
    tint: str
    width: float


# None of these is the colour of a strategy. In grey, the widths differ.
LOOKS: dict[Mark, Look] = {
    "grows": Look("#B0003A", "#FBE3EA", 2.6),
    "S": Look("#33638D", "#E6EEF5", 1.5),
    "C": Look("#7A6200", "#F6F0D8", 1.5),
    "": Look("#707070", "#F3F3F3", 0.9),
}


def width_in(text: str, size: float, bold: bool = False) -> float:
    """Width of ``text`` in inches at ``size`` points, in the current font."""
    if not text.strip():
        return 0.0
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


@dataclass(frozen=True)
class Box:
    """A rectangle, given by its centre and its size in inches."""

    x: float
    y: float
    width: float
    height: float = 0.54

    @property
    def left(self) -> Point:
        """Middle of the left side."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """Middle of the right side."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        """Middle of the upper side."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        """Middle of the lower side."""
        return self.x, self.y - self.height / 2


@dataclass(frozen=True)
class Canvas:
    """Draws on axes whose unit is an inch."""

    axes: Axes

    def text(self, x: float, y: float, text: str, room: float, size: float = TEXT_PT, **look: Any) -> None:
        """Write one line of at most ``room`` inches, in smaller letters if it would be longer."""
        needed = width_in(text, size, look.get("fontweight") == "bold")
        self.axes.text(x, y, text, fontsize=size * min(1.0, room / needed if needed else 1.0), **look)

    def panel(self, corner: Point, width: float, height: float, title: str, indent: float = 0.08) -> None:
        """Draw the frame of one part of the layer. ``corner`` is its upper left corner."""
        x, y = corner
        self.axes.add_patch(Rectangle((x, y - height), width, height, facecolor="#FAFAFA", edgecolor="#D5D5D5", lw=0.7))
        self.text(
            x + indent, y - 0.14, title, width - indent - 0.08, 8.2, fontweight="bold", color="#333333", va="center"
        )

    def box(
        self,
        at: Box,
        name: str,
        lines: Sequence[str],
        mark: Mark,
        badge: str = "",
        once: bool = False,
        kept: bool = False,
    ) -> None:
        """Draw an operation with round corners; K and V that are ``kept`` have sharp ones.

        ``name`` is the heading, and the gid in SVG. ``once`` draws the outline dashed: it is made once per sentence.
        """
        look = LOOKS[mark]
        corner = (at.left[0], at.bottom[1])
        shape: Any = Rectangle(corner, at.width, at.height)
        if not kept:
            shape = FancyBboxPatch(corner, at.width, at.height, boxstyle="round,pad=0,rounding_size=0.07")
        shape.set(facecolor="white" if kept else look.tint, edgecolor=look.color, zorder=3, gid=name)
        shape.set(linewidth=look.width, linestyle=DASHES if once else "-")
        self.axes.add_patch(shape)
        x, room = at.left[0] + 0.07, at.width - 0.14
        taken = width_in(badge, 6) + 0.16 if badge else 0.0
        for row, line in enumerate((name, *lines)):
            y = at.y + (len(lines) / 2 - row) * LINE_IN * 1.12
            if row == 0:
                self.text(x, y, line, room - taken, fontweight="bold", va="center", zorder=4)
            else:
                self.text(x, y, line, room, color="#222222", va="center", zorder=4)
        if badge:
            strong = mark == "grows"
            face = look.color if strong else "white"
            self.axes.text(
                at.right[0] - 0.1, at.y + len(lines) / 2 * LINE_IN * 1.12, badge, fontsize=6, ha="right", va="center",
                color="white" if strong else look.color, zorder=5, gid=f"badge {name}",
                bbox={"boxstyle": "round,pad=0.22", "facecolor": face, "edgecolor": look.color, "linewidth": 0.6},
            )  # fmt: skip

    def edge(self, points: Sequence[Point], mark: Mark, once: bool = False, arrow: bool = True) -> None:
        """Draw an edge along ``points``, thick if the tensor on it grows, dashed if it flows ``once`` per sentence."""
        look = LOOKS[mark]
        style = "-|>,head_length=4.2,head_width=2.1" if arrow else "-"
        self.axes.add_patch(
            FancyArrowPatch(
                path=Path(list(points)), arrowstyle=style, color=look.color, linewidth=look.width, zorder=2,
                linestyle=DASHES if once else "-", joinstyle="miter", capstyle="butt", mutation_scale=1.0,
            )
        )  # fmt: skip

    def label(
        self, at: Point, tensor: Tensor, room: float, head: str = "", va: Side = "middle", note: str = ""
    ) -> None:
        """Write the tensor's shape in letters and numbers, from ``at`` to the right, with ``note`` on a line above."""
        lines = [note, f"{head} {tensor.in_letters}".strip(), tensor.in_numbers]
        lines = [line for line in lines if line]
        height = LINE_IN * (len(lines) - 1)
        first = at[1] + {"above": 0.5 * LINE_IN + height, "middle": height / 2, "below": -0.5 * LINE_IN}[va]
        color = LOOKS[tensor.mark].color if tensor.mark else "#444444"
        weight = "bold" if tensor.mark == "grows" else "normal"
        for row, line in enumerate(lines):
            bold = weight if line != note else "normal"
            self.text(
                at[0], first - row * LINE_IN, line, room, 7.0, color=color, fontweight=bold, va="center", zorder=4
            )

    def note(self, at: Point, lines: Sequence[str], room: float) -> None:
        """Write an explanation, from ``at`` downwards."""
        for row, line in enumerate(lines):
            self.text(
                at[0],
                at[1] - row * LINE_IN,
                line,
                room,
                7.0,
                color="#333333",
                fontstyle="italic",
                va="center",
                zorder=4,
            )

    def pill(self, at: Point, text: str, mark: Mark) -> None:
        """Draw a small box for an operation that is no matrix product, such as softmax."""
        look = LOOKS[mark]
        self.axes.text(
            *at, text, fontsize=6.6, ha="center", va="center", zorder=4, color="#222222",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": look.color, "linewidth": 0.8},
        )  # fmt: skip

    def plus(self, at: Point, mark: Mark) -> None:
        """Draw the plus sign where the residual connection adds the input of a part to its output."""
        self.axes.add_patch(Circle(at, 0.085, facecolor="white", edgecolor=LOOKS[mark].color, lw=1.1, zorder=3))
        self.axes.text(*at, "+", fontsize=9, ha="center", va="center_baseline", zorder=4)


def samples(names: dict[Mark, str], once: bool) -> Iterator[tuple[str, Line2D]]:
    """Yield (label, line) of each mark, for a legend; with ``once``, the dashed line too."""
    for mark, name in names.items():
        yield name, Line2D([], [], color=LOOKS[mark].color, linewidth=LOOKS[mark].width)
    if once:
        yield "dashed: once a sentence", Line2D([], [], color="#555555", linewidth=1.3, linestyle=DASHES)
