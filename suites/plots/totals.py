"""Whole batches: time end to end and throughput, against what was swept."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from .style import LEGEND, RC, headroom, new_figure, plain_log, powers_of_two
from .view import View, exponent


def message(view: View) -> str:
    """How many times as long the slowest strategy takes as the fastest, at the last point of the axis."""
    column, _ = view.axis
    last = view.panels[-1][1]
    rows = last[last[column] == last[column].max()].sort_values("e2e_s")
    slow, fast = rows.iloc[-1], rows.iloc[0]
    where = view.at(fast[column])
    if len(rows) == 1:
        return f"{fast['strategy']}: {fast['e2e_s'] * 1e3:.3g} ms for {where}"
    times = slow["e2e_s"] / fast["e2e_s"]
    return f"At {where}, {slow['strategy']} takes {times:.2g}x the time of {fast['strategy']}"


def figure(view: View) -> Figure:
    """Left: time end to end. Right: tokens a second of the whole batch. Of several panels, the last."""
    column, label = view.axis
    title, rows = view.panels[-1]
    foot = view.foot + (f" {title[0].upper() + title[1:]}." if title else "")
    if rows[column].nunique() < 2:
        return _bars(view, rows, foot)
    drawn, (left, right) = new_figure(message(view), foot, 2, height=4.2)
    with mpl.rc_context(RC):
        for strategy in view.strategies:
            mine = rows[rows["strategy"] == strategy].sort_values(column)
            look = view.looks[strategy].line()
            left.plot(mine[column], mine["e2e_s"] * 1e3, label=view.name(strategy) + _growth(mine, column), **look)
            right.plot(mine[column], mine["throughput_tokens_per_s"], label=view.name(strategy), **look)
        for axes, name in ((left, "end to end (ms)"), (right, "throughput (tokens/s)")):
            powers_of_two(axes, rows[column])
            plain_log(axes)
            axes.set_xlabel(label)
            axes.set_title(name)
        headroom(left, 1.6)
        left.legend(title="growth of time (by formula: FLOPs, bytes)", alignment="left", **LEGEND)
    return drawn


def _growth(mine: pd.DataFrame, column: str) -> str:
    """Measured growth of time beside that of the FLOPs and bytes that the formulas give."""
    if mine[column].nunique() < 2:
        return ""
    x = mine[column]
    measured = exponent(x, mine["e2e_s"])
    predicted = exponent(x, mine["executed_flops"])
    moved = exponent(x, mine["step_bytes"] * mine["tgt_len"])
    return f": x^{measured:.2f} ({predicted:.2f}, {moved:.2f})"


def _bars(view: View, rows: pd.DataFrame, foot: str) -> Figure:
    """A single case: one bar a strategy, split into prefill and decoding."""
    drawn, (axes,) = new_figure(message(view), foot, 1, height=1.3 + 0.45 * len(rows))
    with mpl.rc_context(RC):
        ordered = rows.sort_values("e2e_s", ascending=False)
        names = [view.name(s) for s in ordered["strategy"]]
        colors = [view.looks[s].color for s in ordered["strategy"]]
        prefill_ms, total_ms = ordered["prefill_s"] * 1e3, ordered["e2e_s"] * 1e3
        axes.barh(names, total_ms, color=colors)
        axes.barh(
            names,
            prefill_ms,
            color="white",
            alpha=0.55,
            hatch="///",
            edgecolor="white",
            label="of it prefill (hatched)",
        )
        for place, (ms, ratio) in enumerate(zip(total_ms, ordered["e2e_ratio"], strict=True)):
            axes.text(
                ms, place, f" {ms:.3g} ms ({ratio:.3g} x {ordered['baseline'].iloc[0]})", va="center", fontsize=8.5
            )
        axes.set_xlim(0, float(total_ms.max()) * 1.45)
        axes.set_xlabel("end to end (ms); hatched: prefill")
        axes.grid(axis="y", visible=False)
    return drawn
