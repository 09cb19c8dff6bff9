"""The figure of memory: K/V used, K/V reserved, and the peak of a whole round."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from .style import RC, new_figure, plain_log, powers_of_two, share_y, times
from .view import View

PANELS = (
    ("kv_used_bytes", "K/V used"),
    ("kv_reserved_bytes", "K/V reserved"),
    ("peak_memory_bytes", "peak of a round"),
)


def figure(view: View) -> Figure | None:
    """Draw the three panels on one scale, in MiB above the weights. None if no K/V bytes are known."""
    view = view.having("kv_reserved_bytes")
    if view.table.empty:
        return None
    column, label = view.axis
    title, rows = view.panels[-1]
    kind = "allocator's peak" if rows["device"].iloc[0] == "cuda" else "peak of live tensor bytes"
    foot = f"{view.foot}{f' {title[0].upper()}{title[1:]}.' if title else ''} Above the loaded weights; {kind}."
    if rows[column].nunique() < 2:
        return _bars(view, rows, foot)
    keeps = rows.groupby("strategy")["kv_reserved_bytes"].max() > 0
    legend = view.legend({str(s): " (keeps no K/V)" for s in keeps.index[~keeps]})
    drawn, [row] = new_figure(message(view), foot, legend, 1, 3)
    share_y(row)
    with mpl.rc_context(RC):
        for place, (name, text) in zip(row, PANELS, strict=True):
            # Zero has no place on a logarithmic axis.
            for strategy, mine in rows[rows[name] > 0].sort_values(column).groupby("strategy", sort=False):
                place.plot(mine[column], mine[name] / 2**20, **view.looks[str(strategy)].line())
            powers_of_two(place, rows[column])
            place.set_title(text)
        row[1].set_xlabel(label)
        row[0].set_ylabel("memory (MiB)")
        plain_log(row)
    return drawn


def message(view: View) -> str:
    """Say which strategies need the most and the least memory: at the peak, or as K/V reserved if no peak is known."""
    column, _ = view.axis
    title, rows = view.panels[-1]
    last = rows[rows[column] == rows[column].max()]
    where = view.at(last[column].iloc[0], title)
    name, text = ("peak_memory_bytes", "Peak memory")
    if last[name].isna().all():
        name, text = ("kv_reserved_bytes", "K/V reserved")
    ordered = last.dropna(subset=name).sort_values(name)
    if ordered.empty:
        return f"No memory figures were kept at {where}"
    high, low = ordered.iloc[-1], ordered.iloc[0]
    if len(ordered) == 1 or not low[name]:
        return f"{text} at {where}: {high['strategy']} {high[name] / 2**20:.3g} MiB"
    return f"{text} at {where}: {high['strategy']} needs {times(high[name] / low[name])} that of {low['strategy']}"


def _bars(view: View, rows: pd.DataFrame, foot: str) -> Figure:
    """Draw a single cell: one bar per strategy."""
    ordered = rows.sort_values("peak_memory_bytes", ascending=False, na_position="first")
    legend = view.legend() if set(view.broken) - set(view.strategies) else None
    drawn, [row] = new_figure(message(view), foot, legend, 1, 3, 1.7 + 0.35 * len(rows))
    share_y(row)
    with mpl.rc_context(RC):
        colors = [view.looks[s].color for s in ordered["strategy"]]
        top = max(1e-6, float(ordered[[name for name, _ in PANELS]].max().max()) / 2**20)
        for place, (name, text) in zip(row, PANELS, strict=True):
            sizes = (ordered[name] / 2**20).fillna(0)
            bars = place.barh([view.name(s) for s in ordered["strategy"]], sizes, color=colors)
            shown = [
                "not measured" if missing else f"{size:.3g}"
                for size, missing in zip(sizes, ordered[name].isna(), strict=True)
            ]
            place.bar_label(bars, shown, fontsize=8, padding=2)
            place.set_xlim(0, top * 1.35)
            place.set_title(text)
            place.grid(axis="y", visible=False)
        row[1].set_xlabel("memory (MiB)")
    return drawn
