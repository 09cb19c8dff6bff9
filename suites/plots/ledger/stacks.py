"""Pictures of amounts by role, stacked against k, with one panel per set of strategies whose amounts are equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..roles import GROUPS, OTHER, Group
from ..style import RC, Legend, new_figure, share_y
from .panels import COLUMNS, Panel, beams_of, by_scale, in_rows, merge, source_told, steps_at

Unit = tuple[float, str]
"""Size of a unit, and its name."""


@dataclass(frozen=True)
class Quantity:
    """What is stacked, in words: a step ``verb`` (computes) ``noun`` (FLOPs).

    An axis is labelled in the first of ``units`` that its highest value reaches; the largest unit comes first.
    """

    verb: str
    noun: str
    units: Sequence[Unit]


_GROUP = {role: group for group in GROUPS for role in group.roles}
# Roles that read or move earlier tokens lie on top, so that their growth does not shift the areas above them.
_ON_TOP = {"self.append", "self.select", "self.scores"}
STACK = sorted((*GROUPS, OTHER), key=lambda group: bool(_ON_TOP & set(group.roles)))


def panels(ledger: pd.DataFrame, src_len: int, amounts: pd.Series) -> list[Panel]:
    """Sum ``amounts``, one for each row of the ledger, times the row's count, by group and recorded step."""
    rows = steps_at(ledger, src_len)
    rows = rows.assign(
        amount=amounts.reindex(rows.index) * rows["count"],
        group=[_GROUP.get(str(role), OTHER).label for role in rows["role"]],
    )
    found = {
        str(strategy): mine.pivot_table(index="k", columns="group", values="amount", aggfunc="sum", fill_value=0)
        for strategy, mine in rows.groupby("strategy", sort=False)
    }
    # A group without amounts, as the append has no FLOPs, must not tell two strategies apart.
    return merge({strategy: values.loc[:, (values > 0).any()] for strategy, values in found.items()})


def message(found: Sequence[Panel], verb: str, noun: str) -> str:
    """Compare the largest step at the last k with the smallest, and say how each grew.

    If all strategies share a panel, say what most of its amount is spent on.
    """
    high, low = (choose(found, key=lambda panel: float(panel.total.iloc[-1])) for choose in (max, min))
    first, last = int(high.values.index[0]), high.last
    growth = [panel.total.iloc[-1] / panel.total.iloc[0] for panel in (high, low)]
    if len(found) == 1:
        share = 100 * high.values.iloc[-1] / high.total.iloc[-1]
        most = next(group.short for group in STACK if group.label == share.idxmax())
        words = f"{high.name}, step k = {last}: {share.max():.0f} % of {noun} are {most}"
        return words + (f"; {growth[0]:.3g}x those of k = {first}" if first < last else "")
    times = high.total.iloc[-1] / low.total.iloc[-1]
    words = f"At k = {last} {high.strategies[0]} {verb} {times:.3g}x the {noun} of {low.strategies[0]}"
    return words + (
        f"; since k = {first} its step grew {growth[0]:.3g}x, the other's {growth[1]:.3g}x" if first < last else ""
    )


def drawn(ledger: pd.DataFrame, src_len: int, amounts: pd.Series, of: Quantity, foot: str) -> Figure:
    """Draw the figure of ``amounts``, one for each row of the ledger, at one source length."""
    found = panels(ledger, src_len, amounts)
    beams = f", {count} beams" if (count := beams_of(ledger)) > 1 else ""
    foot = f"Batch {ledger['batch_size'].iloc[0]}{beams}, {source_told(ledger, src_len)}. {foot}"
    return _figure(found, message(found, of.verb, of.noun), of, foot)


def _figure(found: Sequence[Panel], title: str, of: Quantity, foot: str) -> Figure:
    """Draw the panels, those of like size on one scale, with one legend of the groups."""
    scales = by_scale(found)
    rows = [(row, scale) for scale in scales for row in in_rows(scale)]
    columns = min(COLUMNS, max(len(row) for row, _ in rows))
    present = {label for panel in found for label in panel.columns}
    shown = [group for group in STACK if group.label in present]
    legend = Legend([(group.label, group.look()) for group in reversed(shown)], artist=Patch)
    if len(scales) > 1:
        foot += " Rows of panels have scales of their own."
    lines = sum(max(len(panel.strategies) for panel in row) for row, _ in rows)
    height = 0.9 + (1.6 if len(rows) < 4 else 1.3) * len(rows) + 0.14 * lines
    figure, grid = new_figure(title, foot, legend, len(rows), columns, height)
    with mpl.rc_context({**RC, "hatch.linewidth": 0.5}):
        for line, (row, scale) in zip(grid, rows, strict=True):
            share_y(line[: len(row)])
            highest = max(float(panel.total.max()) for panel in scale)
            size, name = next((unit for unit in of.units if highest >= unit[0]), of.units[-1])
            line[0].set_ylim(0, highest * 1.15 / size)
            line[0].set_ylabel(f"{of.noun} of a step\n({name})")
            for axes, panel in zip(line, row, strict=False):
                _stack(axes, panel, size, highest)
                panel.write_title(axes, columns)
            for axes in line[len(row) :]:
                axes.axis("off")
        for place in range(columns):
            lowest = max(number for number, (row, _) in enumerate(rows) if place < len(row))
            grid[lowest][place].set_xlabel("keys attended at the step, k")
    return figure


def _stack(axes: Axes, panel: Panel, size: float, highest: float) -> None:
    """Draw areas over the recorded steps, or a bar if there is only one step. Thick areas carry their name."""
    k = panel.values.index.to_numpy(dtype=float)
    several = len(k) > 1
    base = pd.Series(0.0, index=panel.values.index)
    for group in (group for group in STACK if group.label in panel.columns):
        top = base + panel.values[group.label] / size
        if several:
            axes.fill_between(k, base, top, gid=group.label, **group.look())
            # The white line separates neighbours, which may be alike in grey.
            axes.plot(k, top, color="white", linewidth=0.6 if (top - base).max() > 0.02 * highest / size else 0.0)
        else:
            axes.bar(k, top - base, bottom=base, width=0.6, gid=group.label, **group.look())
        _name(axes, group, base, top, highest / size)
        base = top
    axes.plot(k, base, color="black", linewidth=1.0, marker="" if several else "_")
    axes.annotate(
        f"{base.iloc[-1]:.3g}", (k[-1], base.iloc[-1]), (0, 2), textcoords="offset points",
        ha="right" if several else "center", va="bottom", fontsize=8,
    )  # fmt: skip
    if several:
        axes.set_xlim(0 if k[0] < k[-1] / 4 else k[0], k[-1])
    else:
        axes.set_xlim(k[0] - 1, k[0] + 1)
        axes.set_xticks(k, [f"{k[0]:g}"])


def _name(axes: Axes, group: Group, base: pd.Series, top: pd.Series, highest: float) -> None:
    """Write the group's name inside its area, at the recorded step nearest to 0.8 of the last k, if there is room."""
    k = base.index.to_numpy(dtype=float)
    place = int(abs(k - 0.8 * k[-1]).argmin())
    low, high = float(base.iloc[place]), float(top.iloc[place])
    if high - low > 0.13 * highest:
        box = {"facecolor": group.color, "edgecolor": "none", "pad": 1.0} if group.hatch else None
        axes.text(
            k[place],
            (low + high) / 2,
            group.short,
            ha="center",
            va="center",
            fontsize=7,
            color=group.text_color,
            bbox=box,
        )
