"""The figure of quality: the phoneme error against the time per sentence, a mark for each number of beams."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ..tables.exactness import exact_rows, rankable
from ..words.comparison import factor, spoken
from ..words.labels import listed
from ..words.quantity import counted
from ..words.search_told import is_beam
from .curve import is_disturbed
from .style import RC, new_figure
from .swept import largest
from .view import View

HEIGHT = 3.9
MARKS = 15, 5
"""Sizes of the marks of the quickest strategy, which hold the number of beams, and of those of the others."""


def figure(view: View) -> Figure | None:
    """Draw a curve for each strategy. None where the rows do not show what beams buy (``shows_beams``)."""
    rows = points(view)
    if not shows_beams(rows):
        return None
    case = rows.iloc[0]
    every = "Every exact strategy" if view.sets_aside else "Every strategy"
    foot = (
        f"{view.foot} {view.rounds} Source {case['src_len']}, target {case['tgt_len']} tokens, batch "
        f"{case['batch_size']}. Number in a mark: beams per sentence, for the quickest strategy. {every} finds "
        "the same words, so marks of as many beams are equally high. The phoneme error is that of held-out words, the "
        "same words for every number of beams. Its axis does not begin at zero, and that of time is logarithmic."
        f"{view.within(rows['cell']).disturbed_note}"
    )
    first = quickest(rows)
    drawn, [[axes]] = new_figure(message(rows), foot, view.legend(), height=HEIGHT)
    with mpl.rc_context(RC):
        for strategy, mine in rows.groupby("strategy", sort=False):
            _curve(axes, view, mine, strategy == first)
        _time_axis(axes, rows["ms"])
        low, high = rows["percent"].min(), rows["percent"].max()
        room = 0.25 * (high - low) or 0.1 * high or 1.0
        axes.set_ylim(max(0.0, low - room), high + room)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel("time per sentence (ms), end to end over the batch")
        axes.set_ylabel("phoneme error (%)")
    return drawn


def points(view: View) -> pd.DataFrame:
    """Rows whose time and phoneme error are known, of the longest target, the longest source and the largest batch.

    The column ``ms`` is the time per sentence, and ``percent`` the phoneme error.
    """
    rows = largest(view.table.dropna(subset=["e2e_s", "phoneme_error"]))
    rows = rows.assign(ms=1e3 * rows["e2e_s"] / rows["batch_size"], percent=100 * rows["phoneme_error"])
    return rows.sort_values("num_beams", kind="stable")


def shows_beams(rows: pd.DataFrame) -> bool:
    """Whether the phoneme error of exact strategies is known for two numbers of beams or more.

    Approximate strategies differ in theirs, so with them alone no number of beams has an error of its own.
    """
    return bool(exact_rows(rows)["num_beams"].nunique() > 1)


def told(view: View) -> str:
    """Say the phoneme error with each number of beams and, of several, what they buy; "" where it is not known.

    It is that of the exact strategies.
    """
    rows = exact_rows(points(view))
    if rows.empty:
        return ""
    errors, has_beams = _errors(rows), is_beam(rows["search"].iloc[0])
    with_beams = {beams: f" with {counted(beams, 'beam')}" * has_beams for beams in errors}
    rates = listed([f"{error:.2f} %{with_beams[beams]}" for beams, error in errors.items()])
    bought = f" {message(rows)}." if len(errors) > 1 else ""
    whose = " of exact strategies" if view.sets_aside else ""
    return f"Phoneme error{whose} on held-out words: {rates}.{bought}"


def _errors(rows: pd.DataFrame) -> dict[int, float]:
    """The phoneme error of exact strategies in per cent by number of beams, in ascending order."""
    return {int(str(beams)): float(mine["percent"].iloc[0]) for beams, mine in rankable(rows).groupby("num_beams")}


def message(rows: pd.DataFrame) -> str:
    """Say what the fewest phoneme errors are, with how few beams, and what time these beams cost.

    These are of exact strategies. The time is that of ``quickest``, over its own with the fewest beams.
    """
    errors = _errors(rows)
    first, best, last = min(errors), min(errors, key=lambda beams: (errors[beams], beams)), max(errors)
    if best == first:
        told = f"More than {counted(first, 'beam')} bring no fewer phoneme errors"
        return f"{told}: {errors[first]:.3g} % with {first}, {errors[last]:.3g} % with {last}"
    fewer = f"{counted(best, 'beam')} lower the phoneme error from {errors[first]:.3g} % to {errors[best]:.3g} %"
    name = quickest(rows)
    mine = rows[(rows["strategy"] == name) & rows["num_beams"].isin([first, best])]
    ms = mine.set_index("num_beams")["ms"]
    cost = ""
    if {first, best} <= set(ms.index):
        cost = f", at {factor(float(ms[best] / ms[first]))} the time of {spoken(name)} with {counted(first, 'beam')}"
        cost += " (not certain: disturbed)" * bool(is_disturbed(mine).any())
    more = f"; {last} beams bring no more" if last > best else ""
    return f"{fewer}{cost}{more}"


def quickest(rows: pd.DataFrame) -> str:
    """The exact strategy that has the most numbers of beams and, of these, takes the least time with the most beams."""
    rows = rankable(rows)
    count = rows["strategy"].map(rows["strategy"].value_counts())
    known = rows[count == count.max()]
    known = known[known["num_beams"] == known["num_beams"].max()]
    return str(known.loc[known["ms"].idxmin(), "strategy"])


def _time_axis(axes: Axes, ms: pd.Series) -> None:
    """Make the axis of time logarithmic, with plain numbers, and with room for marks at its ends."""
    axes.set_xscale("log")
    axes.set_xlim(ms.min() / 1.25, ms.max() * 1.25)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _curve(axes: Axes, view: View, rows: pd.DataFrame, numbered: bool) -> None:
    """Draw the curve of a strategy; if ``numbered``, in the foreground and with the number of beams in each mark."""
    look, above = view.looks[str(rows["strategy"].iloc[0])], 3 * numbered
    axes.plot(rows["ms"], rows["percent"], color=look.color, linestyle=look.linestyle, linewidth=1.2, zorder=2 + above)
    for row, hollow in zip(rows.to_dict("records"), is_disturbed(rows), strict=True):
        face, ink = ("white", look.color) if hollow else (look.color, "white")
        axes.plot([row["ms"]], [row["percent"]], marker="o" if numbered else look.marker, color=look.color,
                  markerfacecolor=face, linestyle="none", markersize=MARKS[not numbered], markeredgewidth=1.3,
                  zorder=3 + above)  # fmt: skip
        if numbered:
            axes.annotate(f"{int(row['num_beams'])}", (row["ms"], row["percent"]), ha="center", va="center",
                          fontsize=8, fontweight="bold", color=ink, zorder=7)  # fmt: skip
