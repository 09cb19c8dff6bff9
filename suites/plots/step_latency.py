"""The figure of each decode step's latency against k, the number of keys attended, where a cache's effect is seen."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from .style import RC, new_figure, times
from .view import View


def longest(view: View) -> list[tuple[str, pd.DataFrame]]:
    """Return (batch in words, rows of the step table) of the longest cell, for the smallest and the largest batch."""
    steps = view.steps[view.steps["tgt_len"] == view.steps["tgt_len"].max()]
    steps = steps[steps["src_len"] == steps["src_len"].max()]
    batches = sorted({steps["batch_size"].min(), steps["batch_size"].max()})
    return [(f"batch {b}", steps[steps["batch_size"] == b]) for b in batches]


def ends(mine: pd.DataFrame) -> tuple[float, float]:
    """Median latency in seconds of the first and of the last eighth of the steps, without the very first step."""
    width = max(1, len(mine) // 8)
    return float(mine["latency_s"].iloc[1 : 1 + width].median()), float(mine["latency_s"].iloc[-width:].median())


def message(view: View) -> str:
    """Say how much longer the last steps take than the first, for the steepest and for the flattest strategy."""
    panels = longest(view)
    where, steps = panels[-1]
    growth = {str(s): ends(mine) for s, mine in steps.groupby("strategy", sort=False)}
    ratios = {s: late / early for s, (early, late) in growth.items()}
    steep, flat = max(ratios, key=lambda s: ratios[s]), min(ratios, key=lambda s: ratios[s])
    start = f"At {where}, the" if len(panels) > 1 else "The"
    told = f"{start} last steps take {steep} {times(ratios[steep])} as long as the first"
    return told if steep == flat else f"{told}, {flat} {times(ratios[flat])}"


def drawable(view: View) -> bool:
    """Whether there are step times and a target of at least three tokens, enough for a curve."""
    return not view.steps.empty and bool(view.steps["tgt_len"].max() >= 3)


def figure(view: View) -> Figure | None:
    """Draw one curve per strategy, with the middle half of its rounds as a band."""
    if not drawable(view):
        return None
    panels = longest(view)
    _, last = panels[-1]
    foot = f"{view.foot} {view.rounds} Bands: middle half of rounds. Source: {last['src_len'].iloc[0]} tokens."
    drawn, [row] = new_figure(message(view), foot, view.legend(), 1, len(panels))
    with mpl.rc_context(RC):
        for place, (name, steps) in zip(row, panels, strict=True):
            for strategy, mine in steps.groupby("strategy", sort=False):
                look = view.looks[str(strategy)]
                every = max(1, len(mine) // 8)
                place.plot(mine["k"], mine["latency_s"] * 1e3, markevery=every, **look.line())
                low, high = mine["latency_q25_s"] * 1e3, mine["latency_q75_s"] * 1e3
                place.fill_between(mine["k"], low, high, color=look.color, alpha=0.18, linewidth=0)
            place.set_xlabel("keys attended at the step, k")
            place.set_title(name if len(panels) > 1 else "")
            # One slow step must not hide the rest: the axis ends a little above nearly all of them.
            place.set_ylim(0, float(steps["latency_q75_s"].quantile(0.995)) * 1.15e3)
            place.set_xlim(0, None)
        row[0].set_ylabel("latency of the step (ms)")
    return drawn
