"""The figure of whole batches: end-to-end time, and how many times as fast as the baseline, against what was swept."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..words.comparison import FAR, Compared, baseline_told
from ..words.quantity import quantity
from . import single
from .curve import curve, is_disturbed
from .ends import ends_of, name_ends, named, panel_height_in
from .failed import mark_failed
from .speedup import interval_told, quickest, speedups
from .style import RC, new_figure, plain_log, share_y, swept_axis
from .view import View

WHISKERS = 2.5
"""How many times the highest point a whisker may reach before it runs out of the axes; below the lowest point too."""


def figure(view: View) -> Figure:
    """Draw end-to-end time and speedup of the whole batch along the axis of the view.

    Where nothing is compared, throughput stands in for the speedup. If batch or source vary too, there is a column of
    panels for each value shown. Where nothing was swept, draw bars.
    """
    column, label = view.axis
    panels = view.panels
    if all(rows[column].nunique() < 2 for _, rows in panels):
        return single.bars(view, panels[-1][1], message(view))
    several = len(panels) > 1
    rows, columns, height = (2, len(panels), 5.3) if several else (1, 2, 3.5)
    room_in = panel_height_in(height, rows)
    at_ends = named(view, room_in) and ends_of(view, "e2e_s", column)
    shown = [_times(view), _speedups(view) if _compared(view.table) else _rates(view)]
    notes = "".join(note for _, _, note in shown)
    cells = [cell for _, part in panels for cell in part["cell"]]
    drawn, grid = new_figure(
        message(view),
        f"{view.foot} {view.rounds}{notes}{view.within(cells).disturbed_note}",
        view.absent if at_ends else view.legend(),
        rows,
        columns,
        height,
    )
    with mpl.rc_context(RC):
        for row, (values, title, _) in enumerate(shown):
            line = grid[row] if several else [grid[0][row]]
            share_y(line)
            for place, (part_title, part) in zip(line, panels, strict=True):
                _curves(place, view, part, values)
                swept_axis(place, column, [*part[column], *(mark_failed(place, view, part) if row == 0 else [])])
                if row == 0:
                    place.set_title(part_title)
                if not several or (row == len(shown) - 1 and place is line[len(line) // 2]):
                    place.set_xlabel(label)
            line[0].set_ylabel(title)
            plain_log(line)
            _show_points(line, values["value"])
            if at_ends and (several or row == len(shown) - 1):
                last = values.loc[panels[-1][1].index]
                name_ends(line[-1], _ends(view, panels[-1][1], last["value"]), room_in)
    return drawn


Shown = tuple[pd.DataFrame, str, str]
"""(table with the columns value, low and high; label of the axis; sentence for the foot) of what a panel shows."""


def _times(view: View) -> Shown:
    values = pd.DataFrame({"value": view.table["e2e_s"] * 1e3})
    return values, "end to end (ms)", ""


def _rates(view: View) -> Shown:
    return pd.DataFrame({"value": view.table["throughput_tokens_per_s"]}), "throughput (tokens/s)", ""


def _speedups(view: View) -> Shown:
    base, interval = baseline_told(view.table["baseline"]), interval_told(view.table)
    note = f" Speedup: over {base}, paired within rounds; whiskers: {interval}."
    found = speedups(view.table)
    known = found["value"][found["value"] > 0]
    if not known.empty:  # ends that say no more than that the rounds differ widely
        found[["low", "high"]] = found[["low", "high"]].clip(known.min() / FAR, known.max() * FAR)
    return found, "speedup (ratio)", note


def _compared(table: pd.DataFrame) -> bool:
    """Whether some strategy has a ratio to another, its baseline."""
    return bool((table["e2e_ratio"].notna() & (table["strategy"] != table["baseline"])).any())


def _curves(axes: Axes, view: View, part: pd.DataFrame, values: pd.DataFrame) -> None:
    column, _ = view.axis
    for strategy, mine in part.sort_values(column).groupby("strategy", sort=False):
        found = values.loc[mine.index]
        ends = found[["low", "high"]] if "low" in found else None
        curve(axes, mine[column], found["value"], view.looks[str(strategy)], is_disturbed(mine), ends)


def _show_points(row: Sequence[Axes], values: pd.Series) -> None:
    """Let the whiskers of what is hardly known run out of the axes, rather than press all points together."""
    known = values[values > 0]
    low, high = row[0].get_ylim()
    if not known.empty and low > 0:
        row[0].set_ylim(max(low, known.min() / WHISKERS), min(high, known.max() * WHISKERS))


def _ends(view: View, part: pd.DataFrame, values: pd.Series) -> dict[str, tuple[float, float, str]]:
    """Map the name of each strategy to its last point and its colour."""
    column, _ = view.axis
    found = {}
    for strategy, mine in part[values.notna()].sort_values(column).groupby("strategy", sort=False):
        at = mine.index[-1]
        found[view.name(strategy)] = (mine[column].loc[at], float(values.loc[at]), view.looks[str(strategy)].color)
    return found


def message(view: View) -> str:
    """Say how the quickest exact strategy compares with the baseline at the last point of the axis.

    The comparison is that of the table.
    """
    view = view.ranked
    column, _ = view.axis
    title, last = view.panels[-1]
    rows = last[last[column] == last[column].max()].dropna(subset="e2e_s").sort_values("e2e_s")
    if rows.empty:
        return "No times were kept"
    where = view.at(rows[column].iloc[0], title)
    best = quickest(rows)
    if best is None:
        return f"At {where}, {view.spoken(rows['strategy'].iloc[0])} takes {quantity(rows['e2e_s'].iloc[0], 's')}"
    compared, name, base = Compared.of(best), view.spoken(best["strategy"]), view.spoken(best["baseline"])
    if compared.verdict:
        return f"At {where}, {compared.clause(name, base)}"
    return f"At {where}, the speedup of {name} over {base} is {compared.speedup}"
