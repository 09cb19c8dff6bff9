"""The figure of each decode step's latency against k, the number of keys attended, where a cache's effect is seen."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ..words.search_told import FEATURES, source_told
from .ends import name_ends, named, panel_height_in
from .panels import left_out, shown_of
from .style import RC, new_figure, whole_numbers
from .swept import panel_named, panels_kind
from .view import View

STEADY = 1.15
"""Greatest ratio of the last steps to the first, either way, at which a step is said to stay as long as it was."""
BATCH = ["batch_size", "num_beams"]
"""Columns that have one panel for each of their values."""
SHORTEST = 3
"""Number of steps from which on they are drawn as a curve."""
FEW = 16
"""Number of steps below which their course is not told, since single steps are noisy."""


def longest(view: View) -> list[tuple[str, pd.DataFrame]]:
    """Return (its name, rows of the step table) of the longest cell of every batch and number of beams, in order.

    Names have the lengths of the cells where these differ, as where the longest cell of a batch failed. Batches
    whose targets are too short for a curve are left out.
    """
    found = [_longest_of(mine) for _, mine in view.steps.groupby(BATCH)]
    found = [steps for steps in found if not steps.empty]
    lengths = [tuple(steps[["src_len", "tgt_len"]].iloc[0]) for steps in found]
    named = [f", {source} -> {target}" if len(set(lengths)) > 1 else "" for source, target in lengths]
    varying = _varying(view) or BATCH[:1]
    return [
        (f"{panel_named(varying, [steps[column].iloc[0] for column in varying])}{name}", steps)
        for steps, name in zip(found, named, strict=True)
    ]


def _varying(view: View) -> list[str]:
    return [column for column in BATCH if view.table[column].nunique() > 1]


def _longest_of(steps: pd.DataFrame) -> pd.DataFrame:
    """The steps of the longest cell, the last of several, of the strategies that have enough of them for a curve."""
    for column in ("tgt_len", "src_len", "first_sentence"):
        steps = steps[steps[column] == steps[column].max()]
    return steps[steps.groupby("strategy")["k"].transform("size") >= SHORTEST]


def batches_note(view: View, shown: int) -> str:
    """Say that the plot shows ``shown`` batches, if the run has more."""
    return left_out(shown, len(view.table[BATCH].drop_duplicates()), panels_kind(_varying(view)))


def ends(mine: pd.DataFrame) -> tuple[float, float]:
    """Median latency in seconds of the first and of the last eighth of the steps, without the very first step."""
    parts = _eighths(mine)
    return parts[0], parts[-1]


def _eighths(mine: pd.DataFrame) -> list[float]:
    """Median latency in seconds of each eighth of the steps, without the very first step."""
    latency, width = mine["latency_s"].iloc[1:], max(1, len(mine) // 8)
    starts = [*range(0, len(latency) - width, width), max(0, len(latency) - width)]
    return [float(latency.iloc[start : start + width].median()) for start in starts]


def message(view: View) -> str:
    """Say from what to what a step's latency goes, for the steepest and for the flattest exact strategy.

    Contenders are left out.
    Below ``FEW`` steps that is not known; then say how long a step of the slowest and of the quickest takes.
    """
    view = view.ranked if drawable(view.ranked) else view
    panels = longest(view)
    where, steps = panels[-1]
    start = f"At {where}, a" if len(panels) > 1 else f"With {view.beams}, a" if view.beams else "A"
    if steps["k"].max() < FEW:
        return _typical(view, steps, start)
    ours = steps[steps["flops"].notna()]  # what a contender computes is not known
    told = steps if ours.empty else ours
    growth = {str(s): _eighths(mine) for s, mine in told.groupby("strategy", sort=False)}
    steep = max(growth, key=lambda s: growth[s][-1] / growth[s][0])
    flat = min(growth, key=lambda s: max(growth[s]) / min(growth[s]))
    said = f"{start} step of {view.spoken(steep)} {_course(growth[steep])}"
    return said if steep == flat else f"{said}, one of {view.spoken(flat)} {_course(growth[flat])}"


def _typical(view: View, steps: pd.DataFrame, start: str) -> str:
    ordered = steps.groupby("strategy", sort=False)["latency_s"].median().sort_values()
    (quick, least), (slow, most) = ((ordered.index[place], ordered.iloc[place] * 1e3) for place in (0, -1))
    told = f"{start} step of {view.spoken(slow)} takes {most:.3g} ms"
    return told if slow == quick else f"{told}, one of {view.spoken(quick)} {least:.3g} ms"


def _course(parts_s: list[float]) -> str:
    """Say how a latency goes, of which these are medians of parts.

    It is "grows from 35 to 115 ms", "falls from 4 to 3 ms", "stays at 19 ms" or, where what lies between the ends lies
    beyond them, "varies from 2 to 80 ms".

    >>> _course([0.035, 0.08, 0.115]), _course([0.006, 0.08, 0.002, 0.0061])
    ('grows from 35 to 115 ms', 'varies from 2 to 80 ms')
    """
    early_s, late_s, low_s, high_s = parts_s[0], parts_s[-1], min(parts_s), max(parts_s)
    early, late, low, high = (
        f"{time * 1e3:.{3 if time >= 0.0995 else 2}g}" for time in (early_s, late_s, low_s, high_s)
    )
    if low_s * STEADY < min(early_s, late_s) or high_s > STEADY * max(early_s, late_s):
        return f"varies from {low} to {high} ms"
    if 1 / STEADY <= late_s / early_s <= STEADY:
        return f"stays at {late} ms" if early == late else f"stays near {late} ms"
    return f"{'grows' if late_s > early_s else 'falls'} from {early} to {late} ms"


def drawable(view: View) -> bool:
    """Whether there are step times of a target that is long enough for a curve."""
    return bool(longest(view))


def running(values: pd.Series) -> pd.Series:
    """Running median over about a sixteenth of the steps, an odd number of them; fewer at the ends.

    >>> running(pd.Series([1.0] * 30 + [9.0] + [1.0] * 30)).unique().tolist()
    [1.0]
    """
    width = max(3, len(values) // 16) | 1 if len(values) >= FEW - 1 else 1
    return values.rolling(width, center=True, min_periods=width // 2 + 1).median()


def figure(view: View) -> Figure | None:
    """Draw for each strategy its steps as a thin line, and their running median, with its middle half of rounds.

    The first step is part of the thin line alone: it may take long for reasons of its own.
    """
    if not drawable(view):
        return None
    panels = shown_of(longest(view))
    _, last = panels[-1]
    foot = f"{view.foot} {view.rounds} Bold: running median over steps; thin: each step; bands: middle half of rounds."
    if len({int(steps["src_len"].iloc[0]) for _, steps in panels}) == 1:
        case = view.table[view.table["cell"] == last["cell"].iloc[0]].iloc[0]
        foot += f" Source: {source_told(case)}{'' if case['source'] == FEATURES else ' tokens'}."
    foot += batches_note(view, len(panels))
    if disturbed_by := view.within(cell for _, steps in panels for cell in steps["cell"]).disturbed_by:
        foot += f" The machine was disturbed: {disturbed_by}."
    height, everyone = 3.5, set(last["strategy"]) == set(view.strategies)
    at_ends = everyone and named(view, panel_height_in(height))
    drawn, [row] = new_figure(message(view), foot, view.absent if at_ends else view.legend(), 1, len(panels), height)
    with mpl.rc_context(RC):
        for place, (name, steps) in zip(row, panels, strict=True):
            found = {}
            for strategy, mine in steps.groupby("strategy", sort=False):
                look = view.looks[str(strategy)]
                k, later = mine["k"], mine.iloc[1:]
                place.plot(k, mine["latency_s"] * 1e3, color=look.color, linewidth=0.6, alpha=0.45)
                low, middle, high = (running(later[f"latency{part}_s"]) * 1e3 for part in ("_q25", "", "_q75"))
                apart = max(1, len(later) // 8)
                place.plot(later["k"], middle, markevery=apart, **look.line() | {"linewidth": 2.2})
                place.fill_between(later["k"], low, high, color=look.color, alpha=0.15, linewidth=0)
                found[view.name(strategy)] = (float(k.iloc[-1]), float(middle.iloc[-1]), look.color)
            if len(row) < 4 or place is row[len(row) // 2]:  # four labels side by side would overlap
                place.set_xlabel("keys attended at the step, k")
            place.set_title(name if len(panels) > 1 else "")
            # One slow step must not hide the rest: the axis ends a little above nearly all of them.
            place.set_ylim(0, float(steps["latency_q75_s"].quantile(0.98)) * 1.15e3)
            place.set_xlim(0, float(steps["k"].max()))
            place.xaxis.set_major_locator(whole_numbers())
            if at_ends and place is row[-1]:
                name_ends(place, found, panel_height_in(height))
        row[0].set_ylabel("latency of the step (ms)")
    return drawn
