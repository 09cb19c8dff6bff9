"""The roofline of the machine: what its read bandwidth and its GEMM peak allow, and what each strategy achieves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from ..ceilings.floor import Spread
from ..ceilings.sentences import is_mixed, share
from ..words.quantity import percent, quantity
from .ends import darker
from .looks import Look
from .placed import PHASES, case_of, points_of, roof_of
from .style import RC, Legend, new_figure
from .view import View

ROOF: dict[str, Any] = {"color": "#444444", "linewidth": 1.6, "marker": "", "linestyle": "-"}
NOTE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8.5, "color": "#444444"}
BOX: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
DECADE = 10.0
NEAR, LINE = 0.19, 0.052
"""Width and height of a point's label, as shares of the axes."""
WIDEST = 0.3
"""Greatest share of the plot's height that the band of the roof may take before it is drawn as its two edges alone."""


def figure(view: View) -> Figure | None:
    """Draw the last cell of the axis: for each strategy a hollow point for prefill and a full one for decode.

    None if the run has no ceilings (a folder of an earlier version) or no strategy with known FLOPs and times.
    """
    if (rows := case_of(view)) is None:
        return None
    view = view.having("floor_fraction")
    read, gemm = roof_of(rows)
    points = [(view.looks[p.strategy], p.phase, p.intensity, p.flops_per_s) for p in points_of(rows)]
    kinds = [(phase, Look("#444444", "o", "none").line() | _face(phase, "#444444")) for phase in PHASES]
    drawn, [[axes]] = new_figure(message(view), foot(view, rows), Legend([*view.legend().entries, *kinds]), height=4.1)
    with mpl.rc_context(RC):
        for look, phase, x, y in points:
            axes.plot([x], [y], marker=look.marker, color=look.color, linestyle="none", markersize=7, zorder=3,
                      **_face(phase, look.color))  # fmt: skip
        _roof(axes, read, gemm, [point[2] for point in points], [point[3] for point in points])
        _drops(axes, view, rows, (read, gemm))
    return drawn


def _drops(axes: Axes, view: View, rows: pd.DataFrame, roof: tuple[Spread, Spread]) -> None:
    """Join the point of each strategy's decoding to the roof above it, and write what share of that limit it reaches.

    Points of nearly the same intensity share the room beside them: their labels stand below one another. Call it when
    the limits of the axes are set.
    """
    read, gemm = roof
    reached = dict(zip(rows["strategy"], rows["floor_fraction"], strict=True))
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    near, line = NEAR * np.log(right / left), LINE * np.log(high / low)
    placed: list[tuple[float, float]] = []
    note = NOTE | {"fontsize": 7.5}
    for point in sorted(points_of(rows), key=lambda point: -point.flops_per_s):
        if point.phase != "decode":
            continue
        x, y, color = point.intensity, point.flops_per_s, view.looks[point.strategy].color
        ends = sorted((y, float(_under(np.array([x]), read.median, gemm.median)[0])))
        axes.plot([x, x], ends, color=color, linewidth=0.9, linestyle=(0, (2, 2)), marker="", zorder=2)
        at = min([np.log(y), *(other - line for place, other in placed if abs(np.log(x / place)) < near)])
        placed.append((x, at))
        text = f"{percent(reached[point.strategy])} of the limit"
        beside = [np.log((other.intensity, other.flops_per_s)) - (np.log(x), at) for other in points_of(rows)]
        right = not any(0.25 * near < dx < near and abs(dy) < line for dx, dy in beside) or np.log(x / left) < near
        how = note | {"color": darker(color)} | ({"ha": "left"} if right else {"ha": "right", "bbox": BOX})  # the roof
        axes.annotate(text, (x, float(np.exp(at))), (8 if right else -14, 0), va="center", **how)
    axes.set_ylim(min([low, *(float(np.exp(at - line)) for _, at in placed)]), high)


def ceilings_figure(read: Spread, gemms: dict[str, Spread], title: str, foot: str) -> Figure:
    """Draw the roof alone, with one ceiling per element type; speeds in 1e9 bytes and 1e9 FLOPs per second."""
    drawn, [[axes]] = new_figure(title, foot, height=3.9)
    top = max(gemms.values(), key=lambda gemm: gemm.median)
    with mpl.rc_context(RC):
        peaks = [gemm.median for gemm in gemms.values()]
        _roof(axes, read, top, [peak / read.median for peak in peaks], peaks, named=False)
        left, right = axes.get_xlim()
        ordered = sorted(gemms, key=lambda name: -gemms[name].median)
        for place, name in enumerate(ordered):  # labels side by side, as types may be equally fast
            peak = gemms[name].median
            end = right * (left / right) ** (0.2 * place)
            if place:
                axes.plot([peak / read.median, right], [peak] * 2, **ROOF | {"linestyle": (0, (4, 2))})
            below = place > 0 and name == ordered[-1]
            at = (end, peak if place else gemms[name].high)
            axes.annotate(f"{name} {peak:.3g} GFLOP/s", at, (-3, -4 if below else 4), ha="right",
                          va="top" if below else "bottom", bbox=BOX, **NOTE)  # fmt: skip
    return drawn


def _face(phase: str, color: str) -> dict[str, Any]:
    """Arguments for the face of a marker: hollow in prefill, full in decode."""
    return {"markerfacecolor": "none" if phase == "prefill" else color, "markeredgewidth": 1.4}


def _roof(axes: Axes, read: Spread, gemm: Spread, xs: Sequence[float], ys: Sequence[float], named: bool = True) -> None:
    """Draw both ceilings with their bands, and set the limits of the axes around them and the points (xs, ys).

    ``named`` adds the GEMM peak in words; the read bandwidth always has its label.
    """
    ridge = gemm.median / read.median
    left = min([ridge / DECADE, *xs]) / 2
    right = max([ridge * DECADE, *xs]) * 2
    x_N = np.geomspace(left, right, 400)
    bottom, top = min([left * read.median, *ys]) / 1.5, gemm.high * 2
    least_N, most_N = _under(x_N, read.low, gemm.low), _under(x_N, read.high, gemm.high)
    if np.log(most_N / least_N).max() <= WIDEST * np.log(top / bottom):
        axes.fill_between(x_N, least_N, most_N, color="#DDDDDD", zorder=1)
    else:
        for edge_N in (least_N, most_N):
            axes.plot(x_N, edge_N, color="#999999", linewidth=0.7, linestyle=":", marker="", zorder=1)
    axes.plot(x_N, _under(x_N, read.median, gemm.median), zorder=2, **ROOF)
    # The label stands above the roof, where only points that a cache serves can lie, and as far from them as possible.
    place = max((ridge / 2, ridge / 6), key=lambda x: min((abs(np.log(x / other)) for other in xs), default=0))
    axes.annotate(
        f"reads {quantity(read.median * 1e9, 'B/s')}", (place, place * read.high), (-6, 3), ha="right", **NOTE
    )
    if named:
        axes.annotate(
            f"products {quantity(gemm.median * 1e9, 'FLOP/s')}", (right, gemm.high), (-3, 4), ha="right", **NOTE
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
        axis.set_minor_locator(LogLocator(subs=(2, 5)))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("arithmetic intensity (FLOPs / byte)")
    axes.set_ylabel("achieved (GFLOP/s)")


def _under(x_N: NDArray[np.float64], read: float, gemm: float) -> NDArray[np.float64]:
    return np.minimum(x_N * read, gemm)


def message(view: View) -> str:
    """Say what share of its floor the best and the worst exact strategy reach in decode, and what sets the floor."""
    view = view.having("floor_fraction").ranked
    rows = case_of(view)
    assert rows is not None
    ordered = rows.sort_values("floor_fraction").to_dict("records")
    best, worst = ordered[-1], ordered[0]
    title, _ = view.panels[-1]
    where = view.at(best[view.axis[0]], title)
    told = f"At {where}, {view.spoken(best['strategy'])} decodes at {share(best, ' of its limit')}"
    return told if len(rows) == 1 else f"{told}, {view.spoken(worst['strategy'])} at {share(worst)}"


def foot(view: View, rows: pd.DataFrame) -> str:
    """Say what is drawn: the cell, the roof, how contenders are placed, and which strategies a cache serves."""
    return (
        f"{view.foot} {view.rounds} {view.sizes(rows.iloc[0])} Bytes of weights and K/V. "
        "Roof: the fastest of several kernels among the same rounds; band: its least and most. "
        f"{_mixed(rows)}{_contenders(rows)}{_cached(rows)}"
    )


def _mixed(rows: pd.DataFrame) -> str:
    """Say what the percentages are where they differ from what the drops show."""
    if not any(map(is_mixed, rows.to_dict("records"))):
        return ""
    return "Percentages: of the floor, whose bound changes from step to step; drops end at the limit of all steps. "


def _contenders(rows: pd.DataFrame) -> str:
    """Name the contenders. Their own work is not known, so they are placed by the necessary FLOPs and bytes."""
    names = rows[rows["executed_flops"].isna()]["strategy"]
    return f"{', '.join(names)}: by the necessary FLOPs and bytes. " if len(names) else ""


def _cached(rows: pd.DataFrame) -> str:
    inside = [str(row["strategy"]) for row in rows.to_dict("records") if row["cache_resident"] > 0]
    if not inside:
        return ""
    names = "all" if len(inside) == len(rows) else ", ".join(inside)
    return f"Cached: {names}; what a step reads fits in the last cache, so the slope is no limit."
