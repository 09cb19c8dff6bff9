"""The figures of a history: one quantity over the runs of one case, a panel per hardware, with each change of level."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..words.comparison import precise
from ..words.labels import short
from .looks import looks
from .panels import MOST_PANELS, left_out
from .style import RC, new_figure

QUANTITIES = {"e2e_ratio": "speedup over {base}", "e2e_s": "end to end (ms)", "itl_s": "step (ms)"}
"""Quantity -> label of its axis. A ratio is shown as a speedup, its inverse."""
WORDS = {"e2e_ratio": "relative to {base}", "e2e_s": "end to end", "itl_s": "time of a step"}
"""Quantity -> its name in the title."""
CHANGE = "#333333"
"""Colour of the line at a change."""
MOST_TICKS = 12
"""Greatest number of runs that are named below a panel."""


def figure(rows: pd.DataFrame, quantity: str, tested: Collection[str]) -> Figure | None:
    """Draw a quantity (a key of ``QUANTITIES``) of the rows of history.csv; None where it is nowhere known.

    Panels are those of the hardware with the most runs, at most ``MOST_PANELS``. ``tested``: the hardware that has
    enough runs for a change to be found.
    """
    known = rows[rows[quantity].gt(0)]
    if known.empty:
        return None
    every = known["hardware"].value_counts(sort=False).sort_values(ascending=False, kind="stable").index
    shown = list(every[:MOST_PANELS])
    foot = "Points: one run each, by date"
    foot += ", with its 95 % interval" if quantity == "e2e_ratio" else ""
    foot += "; hollow: the cell was disturbed. Grey: level, the median of its runs. Lines: first run of a new level."
    foot += left_out(len(shown), len(every), "kinds of hardware")
    drawn, axes = new_figure(message(known, quantity, tested), foot, rows=len(shown), height=1.0 + 2.35 * len(shown))
    base = next((name for name in known["baseline"] if name), "the baseline")
    with mpl.rc_context(RC):
        for (panel,), hardware in zip(axes, shown, strict=True):
            mine = known[known["hardware"] == hardware].reset_index(drop=True)
            _panel(panel, mine, quantity)
            panel.set_title(short(str(hardware), 60) + ": too few runs to say" * (hardware not in tested), fontsize=9)
            panel.set_ylabel(QUANTITIES[quantity].format(base=base), fontsize=8.5)
    return drawn


def message(known: pd.DataFrame, quantity: str, tested: Collection[str]) -> str:
    """Say how often the level changed, and which was the greatest change."""
    base = next((name for name in known["baseline"] if name), "the baseline")
    what = f"{known['strategy'].iloc[0]}, {WORDS[quantity].format(base=base)}"
    changed = known[known[f"{quantity}_change"].notna()]
    if changed.empty:
        return f"{what}: {'no change of level' if tested else 'too few runs to say whether it changed'}"
    greatest = max(changed.to_dict("records"), key=lambda row: abs(np.log(row[f"{quantity}_change"])))
    commit = f"commit {greatest['commit'][:7]}" if greatest["commit"] else "a run"
    told = f"{_label(greatest[f'{quantity}_change'])} since {commit} ({greatest['started'][:10]})"
    return f"{what}: {told}" if len(changed) == 1 else f"{what}: {len(changed)} changes; the greatest is {told}"


def _panel(axes: Axes, rows: pd.DataFrame, quantity: str) -> None:
    values, low, high = _values(rows, quantity)
    look = looks(rows["strategy"])[rows["strategy"].iloc[0]]
    places, disturbed = np.arange(len(rows)), rows["disturbed_by"].ne("").to_numpy()
    starts = [0, *np.flatnonzero(rows[f"{quantity}_change"].notna()), len(rows)]
    for start, end in pairwise(starts):
        if start < end:
            axes.hlines(np.median(values[start:end]), start - 0.4, end - 0.6, color="#999999", linewidth=2, zorder=1)
    for hollow in (False, True):
        some = disturbed == hollow
        bars = np.nan_to_num([(values - low)[some], (high - values)[some]])
        axes.errorbar(
            places[some], values[some], yerr=bars, color=look.color, marker=look.marker, linestyle="none",
            markersize=4, elinewidth=0.9, markerfacecolor="white" if hollow else look.color,
        )  # fmt: skip
    axes.set_xlim(-0.8, len(rows) - 0.2)
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    for number, place in enumerate(starts[1:-1]):
        axes.axvline(place - 0.5, color=CHANGE, linewidth=1.1, linestyle=(0, (4, 2)))
        late, y = place > 0.72 * len(rows), -2 - 11 * (number % 2)  # one below the other, so that neighbours fit
        axes.annotate(
            _label(rows[f"{quantity}_change"].iloc[place]), (place - 0.5, 1.0), xycoords=axes.get_xaxis_transform(),
            xytext=(-3 if late else 3, y), textcoords="offset points", ha="right" if late else "left", va="top",
            fontsize=8, color=CHANGE, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )  # fmt: skip
    ticks = _ticks(len(rows), [int(place) for place in starts[1:-1]])
    axes.set_xticks(ticks, [_when(rows.iloc[tick]) for tick in ticks], fontsize=7)
    axes.grid(visible=False, axis="x")


def _values(rows: pd.DataFrame, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values to draw, and the ends of their intervals: speedups, or milliseconds without intervals."""
    values = rows[quantity].to_numpy(float)
    if quantity == "e2e_ratio":
        return 1 / values, 1 / rows["e2e_ratio_high"].to_numpy(float), 1 / rows["e2e_ratio_low"].to_numpy(float)
    return 1e3 * values, np.full(len(rows), np.nan), np.full(len(rows), np.nan)


def _ticks(count: int, changes: list[int]) -> list[int]:
    """The runs that are named: those at which a level begins, and others that leave room between the names.

    >>> _ticks(3, []), _ticks(30, [17])
    ([0, 1, 2], [0, 3, 6, 9, 12, 17, 21, 24, 27])
    """
    step = max(1, -(-count // MOST_TICKS))
    spread = [place for place in range(0, count, step) if all(abs(place - one) > 0.8 * step for one in changes)]
    return sorted({*spread, *changes}) if step > 1 else list(range(count))


def _when(row: pd.Series) -> str:
    """A short name of a run: its commit above its date."""
    return "\n".join(filter(None, [str(row["commit"])[:7], str(row["started"])[5:10]]))


def _label(change: float) -> str:
    return f"{precise(max(change, 1 / change))}x {'slower' if change > 1 else 'faster'}"
