"""The figure of whole batches: end-to-end time and throughput, against what was swept."""

from __future__ import annotations

import math

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ..words.comparison import Compared, spoken
from ..words.quantity import quantity
from .style import RC, new_figure, plain_log, powers_of_two, share_y
from .view import View, exponent

ROWS = (("e2e_s", 1e3, "end to end (ms)"), ("throughput_tokens_per_s", 1.0, "throughput (tokens/s)"))


def figure(view: View) -> Figure:
    """Draw end-to-end time and throughput of the whole batch along the axis of the view.

    If batch or source vary too, there is a column of panels for each value shown. Where nothing was swept, draw bars.
    """
    column, label = view.axis
    panels = view.panels
    if all(rows[column].nunique() < 2 for _, rows in panels):
        return _bars(view, panels[-1][1])
    several = len(panels) > 1
    if several:
        legend = view.legend()
    else:
        notes = {str(s): _growth(mine, column) for s, mine in panels[0][1].groupby("strategy")}
        legend = view.legend(notes, f"growth of time with the {'batch' if column == 'batch_size' else 'length'}"
                             " (by formula: FLOPs, bytes)" if any(notes.values()) else "")  # fmt: skip
    rows, columns = (2, len(panels)) if several else (1, 2)
    drawn, grid = new_figure(
        message(view), f"{view.foot} {view.rounds}", legend, rows, columns, 5.3 if several else 3.7
    )
    with mpl.rc_context(RC):
        for row, (name, scale, text) in enumerate(ROWS):
            line = grid[row] if several else [grid[0][row]]
            share_y(line)
            for place, (title, part) in zip(line, panels, strict=True):
                for strategy, mine in part.sort_values(column).groupby("strategy", sort=False):
                    place.plot(mine[column], mine[name] * scale, **view.looks[str(strategy)].line())
                powers_of_two(place, part[column])
                if row == 0:
                    place.set_title(title)
                if row == len(ROWS) - 1 or not several:
                    place.set_xlabel(label)
            line[0].set_ylabel(text)
            plain_log(line)
    return drawn


def message(view: View) -> str:
    """Say how the quickest strategy compares with the baseline at the last point of the axis, as the table does."""
    column, _ = view.axis
    title, last = view.panels[-1]
    rows = last[last[column] == last[column].max()].dropna(subset="e2e_s").sort_values("e2e_s")
    if rows.empty:
        return "No times were kept"
    where = view.at(rows[column].iloc[0], title)
    ours = rows[rows["executed_flops"].notna() & rows["e2e_ratio"].notna()].sort_values("e2e_ratio", kind="stable")
    rivals = ours[ours["strategy"] != ours["baseline"]].to_dict("records")
    if not rivals:
        return f"At {where}, {spoken(rows['strategy'].iloc[0])} takes {quantity(rows['e2e_s'].iloc[0], 's')}"
    quickest = next((row for row in rivals if row["strategy"] == row.get("best_strategy")), rivals[0])
    return f"At {where}, {Compared.of(quickest).clause(spoken(quickest['strategy']), spoken(quickest['baseline']))}"


def _growth(mine: pd.DataFrame, column: str) -> str:
    """Write the measured growth of time, and in brackets the growth of FLOPs and of bytes by formula."""
    x = mine[column]
    measured = exponent(x, mine["e2e_s"])
    predicted = exponent(x, mine["executed_flops"])
    moved = exponent(x, mine["step_bytes"] * mine["tgt_len"])
    if math.isnan(measured):
        return ""
    # There is no formula for the work of a contender.
    return f": x^{measured:.2f}" + ("" if math.isnan(predicted) else f" ({predicted:.2f}, {moved:.2f})")


def _bars(view: View, rows: pd.DataFrame) -> Figure:
    """Draw a single cell: one bar per strategy, split into prefill and decode."""
    ordered = rows.sort_values("e2e_s", ascending=False, na_position="first")
    foot = f"{view.foot} {view.rounds} x: over {ordered['baseline'].iloc[0]}, paired within rounds."
    legend = view.legend() if set(view.broken) - set(view.strategies) else None
    drawn, [[axes]] = new_figure(message(view), foot, legend, height=1.5 + 0.4 * len(rows))
    with mpl.rc_context(RC):
        names = [view.name(s) for s in ordered["strategy"]]
        prefill_ms, total_ms = ordered["prefill_s"] * 1e3, ordered["e2e_s"] * 1e3
        axes.barh(names, total_ms, color=[view.looks[s].color for s in ordered["strategy"]])
        axes.barh(names, prefill_ms, color="white", alpha=0.55, hatch="///", edgecolor="white")
        for place, (ms, ratio) in enumerate(zip(total_ms, ordered["e2e_ratio"], strict=True)):
            text = " not measured" if math.isnan(ms) else f" {ms:.3g} ms"
            text += "" if math.isnan(ratio) else f", {ratio:.3g}x"
            axes.text(0 if math.isnan(ms) else ms, place, text, va="center", fontsize=8.5)
        axes.set_xlim(0, float(total_ms.fillna(0).max()) * 1.3 or 1.0)
        axes.set_xlabel("end to end (ms); the hatched part is prefill")
        axes.grid(axis="y", visible=False)
    return drawn
