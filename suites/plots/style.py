"""The style of every plot: a legend that hides no curve, units on axes, and a title that says what is seen."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from ..store.files import write_bytes
from .swept import LINEAR

RC: Any = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "figure.dpi": 160,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "svg.hashsalt": "decodebench",
    "svg.fonttype": "none",
    # Labels are shown as they are: a "$" in one starts no formula.
    "text.parse_math": False,
}
MOST_TICKS = 11
"""Greatest number of measured values that are all named on an axis."""
WIDTH_IN = 7.4
ROOM = 0.94
"""Share of the width that a line of the title or foot may take. Pixels make letters a little wider than measured."""


@dataclass(frozen=True)
class Legend:
    """A legend below the axes."""

    entries: Sequence[tuple[str, dict[str, Any]]]
    """(label, look) of each curve."""
    title: str = ""
    """What the numbers after the names in labels are."""
    artist: Callable[..., Artist] = partial(Line2D, [], [])
    """What makes the sample of a curve from its look."""
    names_in: float = 0.0
    """Inches at the left that the names of bars take. The legend begins to the right of them."""

    @property
    def columns(self) -> int:
        """Number of columns: as many as fit side by side."""
        widths_in = [0.6 + 0.066 * len(label) for label, _ in self.entries]
        room_in = WIDTH_IN - 0.6 - self.names_in
        fits = (n for n in range(len(widths_in), 1, -1) if sum(map(max, np.array_split(widths_in, n))) < room_in)
        return next(fits, 1)

    @property
    def height_in(self) -> float:
        """Height that the legend takes from the plot, in inches."""
        return 0.165 * (math.ceil(len(self.entries) / self.columns) + bool(self.title))

    def draw(self, axes: Axes) -> None:
        """Draw the legend into ``axes``, which then hold nothing else."""
        axes.axis("off")
        axes.legend(
            [self.artist(**look) for _, look in self.entries],
            [label for label, _ in self.entries],
            title=self.title or None,
            alignment="left",
            loc="lower left",
            ncols=self.columns,
            handlelength=3.2,
            columnspacing=1.2,
            borderaxespad=0,
            borderpad=0,
        )


def new_figure(
    title: str,
    foot: str,
    legend: Legend | None = None,
    rows: int = 1,
    columns: int = 1,
    height: float = 3.7,
    widths: Sequence[float] | None = None,
) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure as wide as a README, and return it with its axes, row by row.

    ``title``, its message, is on top, then the legend, where it hides no curve, then the axes, and ``foot`` below them.
    ``height`` is in inches, without the legend. ``widths`` are the relative widths of the columns, equal by default.
    """
    with mpl.rc_context(RC):
        figure = Figure(figsize=(WIDTH_IN, height + (legend.height_in if legend else 0)), layout="constrained")
        # The legend's row needs no height of its own: constrained layout makes room for what hangs out of axes.
        grid = figure.add_gridspec(rows + 1, columns, height_ratios=[0.001, *[1.0] * rows], width_ratios=widths)
        if legend is not None:
            legend.draw(figure.add_subplot(grid[0, :]))
        axes = [[figure.add_subplot(grid[row + 1, column]) for column in range(columns)] for row in range(rows)]
        figure.suptitle(x=0.012, ha="left", fontsize=11, fontweight="bold", **wrapped(title))
        figure.supxlabel(x=0.012, ha="left", fontsize=7.5, color="#555555", **wrapped(foot))
    return figure, axes


def wrapped(text: str) -> dict[str, Any]:
    """Arguments for a text that is wrapped and may hold dollars.

    When matplotlib wraps a text, it measures the words as formulas, whatever ``text.parse_math`` says. An escaped
    dollar begins no formula, and is shown without its escape.
    """
    return {"t": text.replace("$", r"\$"), "wrap": True, "parse_math": True}


def title_of(figure: Figure) -> str:
    """Title of a figure as it was given, without the escapes of ``wrapped``."""
    return figure.get_suptitle().replace(r"\$", "$").replace("\n", " ")


def extend_title(figure: Figure, text: str) -> None:
    """Put a text behind the title of a figure, with a dot between them."""
    title = next(found for found in figure.texts if found.get_text() == figure.get_suptitle())
    title.set_text(f"{title.get_text()} · {wrapped(text)['t']}")


def break_lines(figure: Figure) -> None:
    """Break the title and the foot of a figure into lines once; matplotlib would do it anew whenever it measures."""
    for text in figure.texts:
        if text.get_wrap():
            text.set_wrap(False)
            text.set_text("\n".join(_lines(text.get_text(), text.get_fontproperties(), figure.get_figwidth())))


def _lines(text: str, font: FontProperties, width_in: float) -> list[str]:
    lines: list[str] = []
    for word in re.split(r"(?<!\d) ", text):  # a number stays with its unit
        longer = f"{lines[-1]} {word}" if lines else word
        width_pt, _, _ = text_to_path.get_text_width_height_descent(longer, font, ismath=False)
        if not lines or width_pt > ROOM * 72 * width_in:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def share_y(row: Sequence[Axes]) -> None:
    """Give a row of axes one y scale, with its numbers on the left alone. Call it before anything is drawn."""
    for other in row[1:]:
        other.sharey(row[0])
        other.tick_params(labelleft=False, which="both")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name``.png and ``name``.svg into ``folder``, and return their paths.

    The files hold no date, so equal tables give equal files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    if figure.get_layout_engine() is not None:  # the other figures place their title themselves
        break_lines(figure)
    with mpl.rc_context(RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # PNG shows a box, SVG holds the character
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": "decodebench"})):
            path = folder / f"{name}.{kind}"
            drawn = BytesIO()
            figure.savefig(drawn, format=kind, metadata=metadata, facecolor="white")
            write_bytes(path, drawn.getvalue())
            # The layout of the first file is kept, so that both are alike. Without an engine the second is drawn once,
            # not twice.
            figure.set_layout_engine(None)
            for axes in figure.axes:  # the layout's last digits vary from process to process, and SVG's ids with them
                axes.set_position(Bbox.from_bounds(*(round(float(x), 12) for x in axes.get_position().bounds)))
            paths.append(path)
    return paths


def ticks_among(values: Iterable[float]) -> list[float]:
    """The distinct values in ascending order; of more than ``MOST_TICKS`` positive ones, that many, evenly spread.

    The first and the last stay, and those between are the nearest to equal distances on a logarithmic axis.

    >>> ticks_among([4, 2, 1, 2]), ticks_among(range(1, 1025))
    ([1, 2, 4], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
    """
    found = sorted(set(values))
    if len(found) <= MOST_TICKS:
        return found
    logs = np.log2(np.array(found, float))
    places = np.linspace(logs[0], logs[-1], MOST_TICKS)
    return [found[i] for i in sorted({int(np.abs(logs - place).argmin()) for place in places})]


def swept_axis(axes: Axes, column: str, values: Iterable[float]) -> None:
    """Make the x axis logarithmic to base 2, with ticks at the values that were measured, or at some of many.

    The first sentences of the batches of a file are equally far apart, so that their axis is linear.
    """
    if column in LINEAR:
        found = sorted(set(values))
        axes.xaxis.set_major_locator(FixedLocator(found) if len(found) <= MOST_TICKS else whole_numbers())
        return
    ticks = ticks_among(values)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def whole_numbers() -> MaxNLocator:
    """Ticks of an axis that counts: no mark stands between two steps."""
    return MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10])


def plain_log(row: Sequence[Axes]) -> None:
    """Make the y axes of a row logarithmic, with plain numbers, also between powers of ten if the range is small.

    If the highest value of the row is less than three times the lowest, a logarithmic scale would show nothing about
    growth. The axes are then linear and begin at zero.
    """
    low, high = (edge(axes.dataLim.intervaly[i] for axes in row) for i, edge in enumerate((min, max)))
    for axes in row:
        if not 0 < low * 3 <= high:
            axes.set_ylim(0, high * 1.1 if high > 0 else None)
            continue
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        wide = high / low > 30
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5) if wide else (2, 3, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter() if wide else FuncFormatter(lambda value, _: f"{value:g}"))
