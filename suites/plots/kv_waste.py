"""How much of the K/V that is reserved is used: lines and shades of the figure of memory, and a sentence below it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import groupby, pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from ..words.labels import listed
from .looks import Look
from .view import View

NONE = 1.005
"""Reserved over used below which nothing counts as wasted: 1x in what is written."""
ALIKE = 1.01
"""Ratio below which two sizes lie on one another in the figure."""
DASH, GAP = 4.0, 2.0
"""Lengths of a dash and of the gap after it, in widths of the line."""
SHADE: dict[str, Any] = {"alpha": 0.16, "linewidth": 0}


def wastes(rows: pd.DataFrame) -> pd.Series:
    """Reserved over used K/V of each of these rows; NaN where there are none."""
    return rows["kv_reserved_bytes"] / rows["kv_used_bytes"].where(rows["kv_used_bytes"] > 0)


def waste_told(view: View) -> str:
    """Say of the largest case of a view how many times the K/V in use is reserved; "" if nothing is wasted."""
    column, _ = view.axis
    title, rows = view.panels[-1]
    last = rows[rows[column] == rows[column].max()]
    found = wastes(last).set_axis(last["strategy"]).dropna().sort_values(ascending=False)
    wasted = found[found > NONE]
    if wasted.empty:
        return ""
    told = [f"{view.name(strategy)} {waste:.3g}x" for strategy, waste in wasted.items()]
    others = "; of the others 1x" if len(wasted) < len(found) else ""
    where = view.at(last[column].iloc[0], title)
    return f" K/V reserved over used at {where}: {listed(told)}{others}."


def draw_reserved(
    axes: Axes, looks: Mapping[str, Look], part: pd.DataFrame, column: str, style: Mapping[str, Any]
) -> None:
    """Draw the K/V reserved in dashes and shade what of it is not used, in the colour of each strategy.

    Where the lines of several strategies are equal, their dashes follow one another, so that none hides another.
    """
    for strategy, mine in _curves_of(part, column):
        if (wastes(mine) > NONE).any():
            used, reserved = mine["kv_used_bytes"] / 2**20, mine["kv_reserved_bytes"] / 2**20
            axes.fill_between(mine[column], used, reserved, color=looks[strategy].color, **SHADE)
    for (start, stop), ends in _segments(part, column):
        for group in _alike(ends):
            for place, (low, high, strategy) in enumerate(group):
                dashes = (place * DASH, (DASH, GAP if len(group) == 1 else (len(group) - 1) * DASH))
                axes.plot([start, stop], [low, high], **looks[strategy].line() | {**style, "linestyle": dashes})


def _curves_of(part: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each strategy that keeps K/V, with its rows from left to right."""
    for strategy, mine in part[part["kv_reserved_bytes"] > 0].sort_values(column).groupby("strategy", sort=False):
        yield str(strategy), mine


def _segments(part: pd.DataFrame, column: str) -> Iterator[tuple[tuple[float, float], list[tuple[float, float, str]]]]:
    """Each stretch between two neighbouring cases of a strategy, with what is reserved at its ends, in MiB."""
    found = []
    for strategy, mine in _curves_of(part, column):
        points = [*zip(mine[column], mine["kv_reserved_bytes"] / 2**20, strict=True)]
        found += [((a, b), (low, high, strategy)) for (a, low), (b, high) in pairwise(points)]
    found.sort(key=lambda entry: entry[0])
    for where, entries in groupby(found, key=lambda entry: entry[0]):
        yield where, [ends for _, ends in entries]


def _alike(ends: list[tuple[float, float, str]]) -> list[list[tuple[float, float, str]]]:
    """Strategies whose lines lie on one another, by what they reserve at both ends."""
    groups: list[list[tuple[float, float, str]]] = []
    for entry in ends:
        group = next((g for g in groups if all(_near(a, b) for a, b in zip(g[0][:2], entry[:2], strict=True))), None)
        if group is None:
            groups.append([entry])
        else:
            group.append(entry)
    return groups


def _near(one: float, other: float) -> bool:
    return abs(math.log(one / other)) < math.log(ALIKE)
