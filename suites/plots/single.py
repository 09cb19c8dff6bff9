"""Bars of a single case: the time of each strategy, and beside it what one decode step waits for."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..ceilings.step_parts import parts, step_s
from ..judging.baseline import end_to_end_s
from ..words.comparison import Compared, baseline_told
from ..words.quantity import quantity
from .ends import broken_up
from .looks import STEP_PARTS
from .style import RC, Legend, new_figure
from .view import View

NAMES = {"bytes": "reading bytes", "FLOPs": "arithmetic", "dispatch": "dispatch", "kernels": "kernels above the floor"}
UNKNOWN = "not known"
FLOOR = "floor: the least that this machine allows"
LONG_S = 10.0
"""Seconds from which on the axis of whole batches is in seconds, not in milliseconds."""
HATCHES = {"bytes": "", "FLOPs": "..", "dispatch": "--", "kernels": ""}


def bars(view: View, rows: pd.DataFrame, title: str) -> Figure:
    """Draw a bar for each strategy of one cell, split into prefill and decode; beside it the split of a step."""
    ordered = rows.sort_values("e2e_s", ascending=False, na_position="first")
    splits = [split(row) for row in ordered.to_dict("records")]
    known = any(splits)
    foot = f"{view.foot} {view.rounds} Compared with {baseline_told(ordered['baseline'])}, paired within rounds."
    foot += f" Hatched: prefill.{_dispatch_note(ordered) if known else ''}{whiskers_note(view.within(rows['cell']))}"
    height = 1.7 + 0.44 * len(rows)
    widths = (1.25, 1.0) if known else None
    drawn, [grid] = new_figure(title, foot, _legend(view, splits), 1, 1 + known, height, widths)
    with mpl.rc_context(RC):
        names = [broken_up(view.name(s)) for s in ordered["strategy"]]
        _totals(grid[0], view, ordered)
        if known:
            _steps(grid[1], ordered, splits)
        for axes in grid:
            axes.set_yticks(range(len(names)), names if axes is grid[0] else [""] * len(names), fontsize=8.5)
            axes.set_ylim(-0.6, len(names) - 0.4)
    return drawn


def whiskers_note(view: View) -> str:
    """Say what the whiskers of bars are, where there are any, and what may have spoiled their times."""
    spoiled = f" Perhaps spoiled by {view.disturbed_by}." if view.disturbed_by else ""
    return f"{' Whiskers: all rounds.' if view.timed else ''}{spoiled}"


def split(row: Mapping[Hashable, Any]) -> dict[str, float]:
    """Split the mean decode step of a row into parts, in seconds, which add up to it; {} where its floor is not known.

    On a GPU dispatch runs beside the kernels: where the step waits for it, all time beyond the floor is dispatch.
    """
    if math.isnan(row["floor_fraction"]) or not row["floor_fraction"]:
        return {}
    whole, found = step_s(row), parts(row)
    if row["device"] == "cuda" and "dispatch" in found:
        found["dispatch"] = max(0.0, 1 - sum(share for name, share in found.items() if name != "dispatch"))
    rest = 1 - sum(found.values())
    return {name: share * whole for name, share in found.items()} | ({UNKNOWN: rest * whole} if rest > 1e-9 else {})


def _legend(view: View, splits: Sequence[dict[str, float]]) -> Legend | None:
    """Legend of the parts of a step, of the floor, and of strategies that have nothing to draw."""
    shown = [name for name in [*NAMES, UNKNOWN] if any(name in found for found in splits)]
    entries = [(NAMES.get(name, name), _look(name)) for name in shown]
    if entries:
        entries.append((FLOOR, {"color": "black", "linewidth": 1.6, "marker": "", "linestyle": "-"}))
    absent = view.absent
    entries += absent.entries if absent else []

    def artist(**look: Any) -> Patch | Line2D:
        return Patch(**look) if "facecolor" in look else Line2D([], [], **look)

    return Legend(entries, "one decode step:" if shown else "", artist) if entries else None


def _look(name: str) -> dict[str, Any]:
    color = STEP_PARTS.get(name, "white")
    return {"facecolor": color, "hatch": HATCHES.get(name, "xx"), "edgecolor": "#444444", "linewidth": 0.4}


def unit_of(longest_s: float) -> tuple[str, float]:
    """(unit, how many of it are a second) of an axis of whole batches that ends at this time."""
    return ("s", 1.0) if longest_s >= LONG_S else ("ms", 1e3)


def _totals(axes: Axes, view: View, rows: pd.DataFrame) -> None:
    spreads = [list(end_to_end_s(view.timed, s).values()) for s in rows["strategy"]]
    ends_s = [max([0.0 if math.isnan(s) else s, *times]) for s, times in zip(rows["e2e_s"], spreads, strict=True)]
    unit, scale = unit_of(max(ends_s))
    places = range(len(rows))
    axes.barh(places, rows["e2e_s"] * scale, height=0.72, color=[view.looks[s].color for s in rows["strategy"]])
    axes.barh(places, rows["prefill_s"] * scale, height=0.72, color="white", alpha=0.55, hatch="///", edgecolor="white")
    median = "median " * bool(view.timed)
    for place, (row, times_s, end_s) in enumerate(zip(rows.to_dict("records"), spreads, ends_s, strict=True)):
        if len(times_s) > 1:
            ends = [min(times_s) * scale, max(times_s) * scale]
            axes.plot(ends, [place] * 2, color="black", linewidth=1.0, marker="|", markersize=5)
        ms = row["e2e_s"] * 1e3
        told = f"{ms:.3g} ms" if ms < 1000 else quantity(ms / 1e3, "s")
        text = "not measured" if math.isnan(ms) else "\n".join(filter(None, [median + told, _compared(row)]))
        axes.annotate(text, (end_s * scale, place), (5, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_xlim(0, max(ends_s) * scale * 1.9 or 1.0)
    axes.set_xlabel(f"end to end ({unit})")
    axes.grid(axis="y", visible=False)


def _compared(row: Mapping[Hashable, Any]) -> str:
    """How a row compares with its baseline, in words; its speedup alone where the table holds no verdict."""
    if math.isnan(row["e2e_ratio"]) or row["strategy"] == row["baseline"]:
        return ""
    one = Compared.of(row)
    if not one.verdict:
        return one.speedup
    return f"{one.words} {one.interval}".strip() if one.verdict in ("faster", "slower") else one.words


def _steps(axes: Axes, rows: pd.DataFrame, splits: Sequence[dict[str, float]]) -> None:
    for place, (row, found) in enumerate(zip(rows.to_dict("records"), splits, strict=True)):
        left = 0.0
        for name, seconds in found.items():
            axes.barh(place, seconds * 1e3, left=left, height=0.72, **_look(name))
            left += seconds * 1e3
        if not found:
            axes.text(0, place, " not known", va="center", fontsize=7.5)
            continue
        floor_ms = float(row["floor_s"]) * 1e3
        axes.plot([floor_ms, floor_ms], [place - 0.45, place + 0.45], color="black", linewidth=1.6, marker="")
        axes.annotate(quantity(left / 1e3, "s"), (left, place), (4, 0), textcoords="offset points", va="center",
                      fontsize=7.5)  # fmt: skip
    axes.set_xlim(0, max(sum(found.values()) for found in splits) * 1e3 * 1.25 or 1.0)
    axes.set_xlabel("one decode step (ms)")
    axes.grid(axis="y", visible=False)


def _dispatch_note(rows: pd.DataFrame) -> str:
    return " Dispatch (Python and launches) is measured apart." if rows["dispatch_s"].notna().any() else ""
