"""The figure of two runs: how each ratio to the baseline changed, with its interval and the margin that is allowed."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..words.quantity import percent
from ..words.search_told import sizes_told
from .looks import looks
from .style import RC, Legend, new_figure


def figure(found: pd.DataFrame, margin: float) -> Figure | None:
    """Draw a dot and its interval for each case; None if the runs share no ratio. ``margin`` is 0.05 for 5 %."""
    ratios = found[found["kind"] == "ratio"].reset_index(drop=True)
    if ratios.empty:
        return None
    look = looks(ratios["strategy"])
    names = named(found)
    legend = Legend([(names[name], one.line() | {"linestyle": "none"}) for name, one in look.items()])
    foot = "Change: ratio in the second run over that in the first; bars: 95 % interval each, unpaired; grey: margin."
    several = ratios["model"].nunique() > 1
    labels = {row["cell"]: f"{row['model']}, " * several + sizes_told(row) for row in ratios.to_dict("records")}
    places = {cell: place for place, cell in enumerate(labels)}
    drawn, [[axes]] = new_figure(message(found, margin), foot, legend, height=1.4 + 0.42 * len(places))
    order = list(look)
    with mpl.rc_context(RC):
        axes.axvspan(1 / (1 + margin), 1 + margin, color="#DDDDDD", zorder=0)
        axes.axvline(1.0, color="black", linewidth=0.8)
        for row in ratios.to_dict("records"):
            one = look[row["strategy"]]
            y = places[row["cell"]] + 0.6 * ((order.index(row["strategy"]) + 0.5) / len(order) - 0.5)
            bars = [[row["change"] - row["change_low"]], [row["change_high"] - row["change"]]]
            spread = None if np.isnan(bars).any() else bars
            axes.errorbar(
                row["change"], y, xerr=spread, color=one.color, marker=one.marker, capsize=2, linestyle="none"
            )
        axes.set_yticks(list(places.values()), list(labels.values()))
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("change of the ratio to the baseline (second run / first run)")
    return drawn


def named(found: pd.DataFrame) -> dict[str, str]:
    """Map each strategy to its name, which says so if it is approximate: only of such ones is the quality compared."""
    lossy = set(found.loc[found["kind"] == "quality", "strategy"])
    return {name: f"{name} (approximate)" if name in lossy else name for name in found["strategy"]}


def message(found: pd.DataFrame, margin: float) -> str:
    """Say how many ratios worsened, and how many deterministic figures and figures of quality."""
    bad = found[found["gate"] == "yes"]
    ratios, exact = int((found["kind"] == "ratio").sum()), int((bad["kind"] == "deterministic").sum())
    worse = int((bad["kind"] == "ratio").sum())
    told = (
        f"{worse} of {ratios} ratios to the baseline worsened beyond {percent(margin)}"
        if worse
        else f"No ratio to the baseline worsened beyond {percent(margin)} with confidence"
    )
    quality = int((bad["kind"] == "quality").sum())
    for count, kind, of in ((exact, "deterministic ", ""), (quality, "", " of approximate strategies' quality")):
        told += (
            f"; {count} {kind}{'figure' if count == 1 else 'figures'}{of} {'is' if count == 1 else 'are'} worse"
            * bool(count)
        )
    return told
