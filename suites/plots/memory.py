"""Memory: K/V used and reserved, and the peak of a whole round."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from .style import LEGEND, RC, headroom, new_figure, plain_log, powers_of_two
from .view import View

PANELS = (
    ("kv_used_bytes", "K/V used at the end"),
    ("kv_reserved_bytes", "K/V reserved"),
    ("peak_memory_bytes", "peak of a round"),
)


def figure(view: View) -> Figure:
    """Three panels with one scale, in MiB above the weights."""
    column, label = view.axis
    title, rows = view.panels[-1]
    foot = view.foot + (f" {title[0].upper() + title[1:]}." if title else "")
    last = rows[rows[column] == rows[column].max()].sort_values("peak_memory_bytes")
    high, low = last.iloc[-1], last.iloc[0]
    times = high["peak_memory_bytes"] / low["peak_memory_bytes"]
    message = f"Peak memory at {view.at(high[column])}: {high['strategy']} needs {times:.2g}x that of {low['strategy']}"
    if len(last) == 1:
        message = f"Peak memory of {high['strategy']}: {high['peak_memory_bytes'] / 2**20:.3g} MiB"
    kind = "allocator's peak" if rows["device"].iloc[0] == "cuda" else "peak of live tensor bytes"
    drawn, axes = new_figure(message, f"{foot} Above the loaded weights; peak is the {kind}.", 3)
    single = rows[column].nunique() < 2
    with mpl.rc_context(RC):
        top = max(float(rows[name].max()) for name, _ in PANELS) / 2**20
        for place, (name, text) in zip(axes, PANELS, strict=True):
            if single:
                ordered = rows.sort_values("peak_memory_bytes")
                bars = place.bar(
                    range(len(ordered)), ordered[name] / 2**20, color=[view.looks[s].color for s in ordered["strategy"]]
                )
                place.bar_label(bars, fmt="%.3g", fontsize=8)
                place.set_xticks(
                    range(len(ordered)), [view.name(s) for s in ordered["strategy"]], rotation=40, ha="right"
                )
                place.set_ylim(0, top * 1.12)
            else:
                for strategy in view.strategies:
                    mine = rows[(rows["strategy"] == strategy) & (rows[name] > 0)].sort_values(column)
                    if not mine.empty:
                        place.plot(
                            mine[column], mine[name] / 2**20, label=view.name(strategy), **view.looks[strategy].line()
                        )
                powers_of_two(place, rows[column])
                low_edge = min(float(rows.loc[rows[n] > 0, n].min()) for n, _ in PANELS) / 2**20
                place.set_ylim(low_edge / 1.5, top * 1.5)
                plain_log(place)
                place.set_xlabel(label if place is axes[1] else "")
            place.set_title(text)
        axes[0].set_ylabel("MiB")
        if not single:
            for place in axes:
                headroom(place, 1.2)
            handles, labels = axes[2].get_legend_handles_labels()
            empty = {view.name(s) for s, mine in rows.groupby("strategy") if (mine["kv_reserved_bytes"] == 0).all()}
            axes[0].legend(handles, [f"{x}: keeps none" if x in empty else x for x in labels], **LEGEND)
    return drawn
