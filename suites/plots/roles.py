"""The figure of roles: which parts of a layer the FLOPs and bytes of decoding go to, as amounts and as shares."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..words.comparison import factor
from ..words.quantity import quantity
from .ends import broken_up
from .looks import PARTS
from .style import RC, Legend, new_figure
from .view import View

PANELS = (("flops", "FLOPs", "FLOPs"), ("bytes", "bytes", "B"))


@dataclass(frozen=True)
class Group:
    """Roles that are drawn as one. ``label`` is their name in the legend, ``short`` their name inside a bar."""

    label: str
    short: str
    color: str
    hatch: str
    roles: tuple[str, ...]

    @property
    def text_color(self) -> str:
        """White on a dark colour, black on others, by the luminance of ITU-R BT.601."""
        red, green, blue = to_rgb(self.color)
        return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"

    def look(self) -> dict[str, Any]:
        """Arguments for a patch. Hatches differ in grey too."""
        return {"facecolor": self.color, "hatch": self.hatch, "edgecolor": self.text_color, "linewidth": 0}


_MADE = "self.append", "self.gather", "self.expand", "cross.read"
GROUPS = (
    Group("self q, k, v, out", "self qkv,out", PARTS["self"], "", ("self.qkv", "self.out")),
    Group("K/V append, copies", "K/V copies", PARTS["append"], "xxx", _MADE),
    Group("reordering of beams", "reordering", PARTS["reordering"], "\\\\\\", ("self.select", "cross.select")),
    Group("self scores, context", "self attention", PARTS["self attention"], "///", ("self.scores", "self.context")),
    Group("cross q, out", "cross q,out", PARTS["cross"], "", ("cross.q", "cross.out")),
    Group("cross K/V projection", "cross K/V", PARTS["cross K/V"], "...", ("cross.kv",)),
    Group(
        "cross scores, context",
        "cross attention",
        PARTS["cross attention"],
        "///",
        ("cross.scores", "cross.context", "cross.read.scores"),
    ),
    Group("feed-forward", "feed-forward", PARTS["feed-forward"], "", ("ffn.wi", "ffn.wo")),
    Group("LM head", "LM head", PARTS["LM head"], "", ("lm_head",)),
)
OTHER = Group("other", "other", PARTS["other"], "++", ())
GAP = 0.4
"""Width that is left white between neighbours, in per cent of a bar, since neighbours may be alike in grey."""
_GROUP = {role: group for group in GROUPS for role in group.roles}
_SHORT = {group.label: group.short for group in (*GROUPS, OTHER)}


def figure(view: View) -> Figure | None:
    """Draw amounts, and beside them shares, as a bar for each strategy, in the cell that ``longest`` selects."""
    sums = longest(view)
    if sums.empty:
        return None
    case = sums.iloc[0]
    foot = (
        f"{view.foot} {view.sizes(case)} Decode "
        "steps only. self, cross: attention to target and source. FLOPs of matrix products, bytes of weights and K/V, "
        "by formula."
    )
    totals = totals_of(sums)
    shown = [group for group in (*GROUPS, OTHER) if group.label in set(sums["group"])]
    measured = [s for s in view.strategies if s in set(sums["strategy"])]
    rows = [*measured, *(s for s in view.broken if s not in measured)]
    legend = Legend([(group.label, group.look()) for group in shown], artist=Patch)
    broken = ["\n" in broken_up(view.name(s)) for s in rows]
    crowded = any(map(all, itertools.pairwise(broken)))  # names of two lines below one another need more room
    height = 1.8 + (0.76 if crowded else 0.6) * len(rows)
    drawn, grid = new_figure(message(view), foot, legend, len(PANELS), 2, height, (1.0, 1.35))
    with mpl.rc_context({**RC, "hatch.linewidth": 0.6}):
        for [amounts, shares], (column, title, unit) in zip(grid, PANELS, strict=True):
            names = [view.name(s) if s in measured else f"{s}: {view.broken[s]}" for s in rows]
            mine = totals[column].reindex(rows)
            _amounts(amounts, mine, shown, unit)
            _shares(shares, mine, shown)
            amounts.set_yticks(range(len(names)), [broken_up(name) for name in names], fontsize=8.5)
            shares.set_yticks(range(len(names)), [""] * len(names))
            for axes in (amounts, shares):
                axes.set_ylim(len(names) - 0.5, -0.5)
                axes.grid(axis="y", visible=False)
            amounts.set_title(f"{title}: amount")
            shares.set_title("share of its own total")
            amounts.set_xlabel(scale_of(mine, unit)[1])
        grid[-1][1].set_xlabel("share of the strategy's own total (%)")
    return drawn


def longest(view: View) -> pd.DataFrame:
    """Select the decode rows of the last cell, and add the group of each role.

    The last cell has the longest target, among these the longest source, then the largest batch, then the most beams.
    Of several such batches of a file of texts it is the last.
    """
    sums = view.roles[view.roles["phase"] == "decode"]
    for column in ("tgt_len", "src_len", "batch_size", "num_beams", "first_sentence"):
        sums = sums[sums[column] == sums[column].max()]
    return sums.assign(group=[_GROUP.get(str(role), OTHER).label for role in sums["role"]])


def totals_of(sums: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Map "flops" and "bytes" to a table of sums, with one row per strategy and one column per group."""
    return {
        column: sums.groupby(["strategy", "group"], sort=False)[column].sum().unstack(fill_value=0)
        for column, _, _ in PANELS
    }


def message(view: View) -> str:
    """Say what the exact strategy with the most FLOPs spends them on, and how it compares with that with the fewest.

    If there is one strategy alone, say what most of its FLOPs and bytes are spent on.
    """
    if not longest(view.ranked).empty:
        view = view.ranked
    totals = totals_of(longest(view))
    sums = pd.DataFrame({column: table.sum(axis=1) for column, table in totals.items()}).sort_values(list(totals))
    (least, low), (most, high) = ((str(sums.index[i]), sums.iloc[i]) for i in (0, -1))
    share = {column: 100 * table.loc[most] / high[column] for column, table in totals.items()}
    flops, moved = (f"{share[column].max():.0f} %" for column in totals)
    on_flops, on_bytes = (_SHORT[str(share[column].idxmax())] for column in totals)
    if least == most:
        return f"{view.spoken(most)}: {flops} of FLOPs go to {on_flops}, {moved} of bytes to {on_bytes}"
    more, longer = (factor(high[column] / low[column]) for column in totals)
    told = f"{view.spoken(most)} computes {more} the FLOPs of {view.spoken(least)}, {flops} of them on {on_flops}"
    return f"{told}, and moves {longer} the bytes"


SCALES = {
    "FLOPs": ((1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"), (1e3, "kFLOPs"), (1.0, "FLOPs")),
    "B": ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1.0, "B")),
}


def scale_of(totals: pd.DataFrame, unit: str) -> tuple[float, str]:
    """The largest unit in which the largest total is at least 1."""
    most = float(totals.sum(axis=1).max())
    return next(((scale, name) for scale, name in SCALES[unit] if most >= scale), SCALES[unit][-1])


def _amounts(axes: Axes, totals: pd.DataFrame, shown: list[Group], unit: str) -> None:
    """Draw one bar per row of ``totals``, as long as its sum, which stands at its end."""
    sums = totals.sum(axis=1)
    scale, _ = scale_of(totals, unit)
    for place, (amounts, total) in enumerate(zip(totals.to_dict("records"), sums, strict=True)):
        left = 0.0
        for group in shown:
            amount = amounts.get(group.label, 0.0) / scale
            if amount > 0:
                axes.barh(place, amount, left=left, height=0.78, **group.look() | {"hatch": ""})
                left += amount
        least = sums[sums > 0].min()
        more = f", {total / least:.{2 if total < 10 * least else 0}f}x" if total > least else ""
        text = f"{quantity(total, unit)}{more}" if total else "not measured"
        axes.annotate(text, (left, place), (4, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_xlim(0, float(sums.max()) / scale * 1.8 or 1.0)


def _shares(axes: Axes, totals: pd.DataFrame, shown: list[Group]) -> None:
    """Draw one bar per row of ``totals``, all equally long. A part that is wide enough has its name inside."""
    sums = totals.sum(axis=1)
    for place, (amounts, total) in enumerate(zip(totals.to_dict("records"), sums, strict=True)):
        left = 0.0
        for group in shown:
            share = 100 * amounts.get(group.label, 0.0) / total if total else 0.0
            if not share:
                continue
            axes.barh(place, max(share - GAP, share / 2), left=left, height=0.78, **group.look())
            percent = f"{share:.0f} %"
            text = next((t for t in (f"{group.short} {percent}", percent) if 1.9 * len(t) + 2 < share), "")
            box = {"facecolor": group.color, "edgecolor": "none", "pad": 1.2} if group.hatch else None
            if text:
                axes.text(left + share / 2, place, text, ha="center", va="center", fontsize=7, bbox=box,
                          color=group.text_color)  # fmt: skip
            left += share
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 25))
