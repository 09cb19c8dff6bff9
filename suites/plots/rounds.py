"""The figure of every round of the last cell: how far it lies from the others, and in which steps it took its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from ..judging.baseline import end_to_end_s
from ..store.records import Round
from ..words.comparison import factor, spoken
from ..words.quantity import quantity
from .ends import broken_up
from .style import RC, new_figure
from .view import View

BINS = 64
"""Greatest number of columns in the map of steps; more steps than that share columns."""
APART = 1.1
"""Times its strategy's median from which on a round is told in the title."""
SHOWN = 2.0
"""Times the median, either way, at which the colours of the map end."""


@dataclass(frozen=True)
class Lane:
    """The counted rounds of one strategy: ``relative`` is their times over the median, ``median_s`` in seconds.

    ``indices`` are the numbers of these rounds, ``disturbed`` those that other processes are known to have disturbed.
    ``steps_RK`` is the time of each of K groups of steps over its median over rounds, one row a round, and ``steps``
    the number of steps; there are no rows where no round has step marks.
    """

    strategy: str
    indices: list[int]
    relative: list[float]
    median_s: float
    disturbed: set[int]
    steps: int
    steps_RK: NDArray[np.float64]


def lanes(rounds: Sequence[Round], strategies: Sequence[str]) -> list[Lane]:
    """Make a lane for each strategy that has at least two counted rounds."""
    found = []
    for strategy in strategies:
        seconds = end_to_end_s(rounds, strategy)
        if len(seconds) < 2:
            continue
        mine = [r for r in rounds if r.strategy == strategy and not r.warmup]
        indices, median_s = sorted(seconds), float(np.median(list(seconds.values())))
        relative = [seconds[index] / median_s for index in indices]
        marks = {r.index: r.marks_s for r in mine if r.every_step}
        disturbed = {r.index for r in mine if r.disturbed}
        found.append(Lane(strategy, indices, relative, median_s, disturbed, *_steps(marks)))
    return found


def _steps(marks: Mapping[int, Sequence[float]]) -> tuple[int, NDArray[np.float64]]:
    """Number of steps, and the time of each group of steps over its median over rounds.

    There are no rows for fewer than two rounds or three steps.
    """
    shortest = min(map(len, marks.values()), default=0)
    if len(marks) < 2 or shortest < 5:
        return 0, np.empty((0, 0))
    gaps_RN = np.diff(np.array([marks[index][:shortest] for index in sorted(marks)])[:, 1:], axis=1)
    starts = np.linspace(0, gaps_RN.shape[1], min(BINS, gaps_RN.shape[1]) + 1).astype(int)[:-1]
    sums_RK = np.add.reduceat(np.nan_to_num(gaps_RN), starts, axis=1)
    medians_K = np.median(sums_RK, axis=0)
    return gaps_RN.shape[1], sums_RK / np.where(medians_K > 0, medians_K, 1.0)


def figure(view: View) -> Figure | None:
    """Draw a lane for each strategy: a mark for each round, and beside it the round's steps as a row of a map.

    None where the raw rounds are not kept, or where each strategy has one round.
    """
    shown = lanes(view.timed, view.strategies)
    if not shown:
        return None
    mapped = any(lane.steps_RK.size for lane in shown)
    sizes = view.sizes(view.last_rows.iloc[0])
    foot = f"{view.foot} {sizes} Each mark is a round, the first on top, over its strategy's own median"
    foot += "; beside it the same round's steps, each over its median." if mapped else "."
    if any(lane.disturbed for lane in shown):
        foot += " Hollow: other processes used the CPU for certain."
    height = 1.25 + max(0.34, min(0.75, 0.07 * max(len(lane.indices) for lane in shown))) * len(shown)
    drawn, [grid] = new_figure(message(shown), foot, None, 1, 1 + mapped, height, (1.0, 1.3) if mapped else None)
    with mpl.rc_context(RC):
        _marks(grid[0], view, shown)
        if mapped:
            _map(drawn, grid[1], shown)
        for axes in grid:
            axes.set_ylim(len(shown) - 0.5, -0.5)
            axes.grid(axis="y", visible=False)
            for edge in range(1, len(shown)):
                axes.axhline(edge - 0.5, color="#999999", linewidth=0.6)
    return drawn


def message(shown: Sequence[Lane]) -> str:
    """Say which round stands out, and whether it does in several strategies; or how near all are to their medians."""
    worst = max(shown, key=lambda lane: max(lane.relative))
    slowest = max(worst.relative)
    index = worst.indices[worst.relative.index(slowest)]
    if slowest < APART:
        spread = max(max(abs(one - 1) for one in lane.relative) for lane in shown)
        return f"No round stands out: each took within {100 * spread:.2g} % of its strategy's median time"
    slow = sum(lane.relative[lane.indices.index(index)] >= APART for lane in shown if index in lane.indices) - 1
    told = f"Round {index + 1} of {spoken(worst.strategy)} took {factor(slowest)} its median time"
    if len(shown) == 1:
        return told
    return f"{told}; it was slow in {slow or 'none'} of the {len(shown) - 1} others"


def _heights(place: int, count: int) -> NDArray[np.float64]:
    """Where the rounds of a lane stand, from top to bottom."""
    return place - 0.4 + 0.8 * (np.arange(count) + 0.5) / count


def _marks(axes: Axes, view: View, shown: Sequence[Lane]) -> None:
    for place, lane in enumerate(shown):
        look, y_R = view.looks[lane.strategy], _heights(place, len(lane.indices))
        x_R = 100 * np.array(lane.relative)
        axes.plot([100, 100], [place - 0.42, place + 0.42], color="#444444", linewidth=1.0, marker="")
        axes.plot(x_R, y_R, marker=look.marker, color=look.color, linestyle="none", markersize=4)
        spoiled = [index in lane.disturbed for index in lane.indices]
        if any(spoiled):
            axes.plot(x_R[spoiled], y_R[spoiled], marker=look.marker, color=look.color, linestyle="none", markersize=4,
                      markerfacecolor="white")  # fmt: skip
    names = [f"{broken_up(view.name(lane.strategy))}\n{quantity(lane.median_s, 's')}" for lane in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=7.5)
    every = [100 * one for lane in shown for one in lane.relative]
    low, high = min(every), max(every)
    if high > 300:  # one round that took many times as long must not press the others together
        axes.set_xscale("log")
        written, wide = FuncFormatter(lambda value, _: f"{value:.0f}"), high / low > 30
        axes.xaxis.set_major_formatter(written)
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter() if wide else written)
        axes.set_xlim(low / 1.2, high * 1.3)
    else:
        room = max(1.0, 0.08 * (high - low))
        axes.set_xlim(low - room, high + room)
    axes.set_xlabel("time of a round (% of the median)")


def _map(drawn: Figure, axes: Axes, shown: Sequence[Lane]) -> None:
    image = None
    norm = TwoSlopeNorm(0.0, -np.log2(SHOWN), np.log2(SHOWN))
    for place, lane in enumerate(shown):
        if not lane.steps_RK.size:
            axes.text(0.5, place, "no times of steps", ha="center", va="center", fontsize=7.5,
                      transform=axes.get_yaxis_transform())  # fmt: skip
            continue
        with np.errstate(divide="ignore"):
            log_RK = np.log2(lane.steps_RK)
        extent = (0.5, lane.steps + 0.5, place + 0.4, place - 0.4)
        image = axes.imshow(log_RK, cmap="PuOr_r", norm=norm, extent=extent, aspect="auto", interpolation="nearest")
    axes.set_xlim(0.5, max(lane.steps for lane in shown) + 0.5)
    axes.set_yticks(range(len(shown)), [""] * len(shown))
    axes.set_xlabel("decode step, k")
    axes.grid(visible=False)  # its lines would lie over the map
    if image is not None:
        bar = drawn.colorbar(image, ax=axes, fraction=0.05, pad=0.02, ticks=[-1, 0, 1])
        bar.ax.set_yticklabels(["0.5x", "1x", "2x"], fontsize=7.5)
        bar.outline.set_visible(False)
