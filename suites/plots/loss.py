"""The figure of loss against length: from which length on approximate strategies lose something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ..tables.exactness import exact_rows, is_exact
from ..words.comparison import spoken
from ..words.labels import listed
from .curve import curve
from .ends import ends_of, name_ends, named, panel_height_in
from .lost_quality import MEANING, Measure, exact_percent, judged, measure_of
from .style import RC, Legend, new_figure, powers_of_two
from .view import View

LEAST = 0.1
"""Loss that counts, in points of per cent above exact strategies. Below it two answers hardly differ."""
EXACT: dict[str, Any] = {"color": "#555555", "marker": "", "linestyle": (0, (4, 2)), "linewidth": 1.2}


def figure(view: View) -> Figure | None:
    """Draw a curve for each approximate strategy. None unless one was judged at two lengths or more."""
    measure = measure_of(view)
    if measure is None:
        return None
    rows, column = losses(view, measure)
    lossy = rows[~is_exact(rows)]
    if not column or lossy[column].nunique() < 2:
        return None
    part = replace(view, table=lossy)
    title, _ = part.panels[-1]
    where = f" {title[0].upper()}{title[1:]}." if title else ""
    foot = f"{view.foot}{where} {MEANING[measure.column]}"
    height = 3.4
    at_ends = named(part, panel_height_in(height)) and ends_of(part, "percent", column)
    entries = [*([] if at_ends else part.legend().entries), ("exact strategies", EXACT)]
    drawn, [[axes]] = new_figure(message(view, rows, measure), foot, Legend(entries), height=height)
    with mpl.rc_context(RC):
        found = {}
        for strategy, mine in lossy.sort_values(column).groupby("strategy", sort=False):
            look = view.looks[str(strategy)]
            curve(axes, mine[column], mine["percent"], look)
            found[view.name(strategy)] = (float(mine[column].iloc[-1]), float(mine["percent"].iloc[-1]), look.color)
        exact = _exact(rows, column)
        axes.plot(exact.index, exact, **EXACT)
        powers_of_two(axes, rows[column])
        axes.set_ylim(0, max(rows["percent"].max(), LEAST) * 1.1)
        axes.set_xlabel(view.axis[1])
        axes.set_ylabel(f"{measure.label} (%)")
        if at_ends:
            name_ends(axes, found, panel_height_in(height))
    return drawn


def losses(view: View, measure: Measure) -> tuple[pd.DataFrame, str]:
    """The rows of the last panel whose quality is known, and the column of lengths; "" where no length was swept."""
    column, _ = view.axis
    rows = judged(view, measure)
    if rows.empty or column not in ("tgt_len", "src_len"):
        return rows, ""
    _, rows = replace(view, table=rows).panels[-1]
    return rows, column


def message(view: View, rows: pd.DataFrame, measure: Measure) -> str:
    """Say at which length each approximate strategy first loses more than ``LEAST``, and which lose it nowhere."""
    column, _ = view.axis
    exact, begins, nowhere = _exact(rows, column), [], []
    for strategy, mine in rows[~is_exact(rows)].sort_values(column).groupby("strategy", sort=False):
        beyond = mine[column][mine["percent"] > mine[column].map(exact).fillna(0.0) + LEAST]
        if beyond.empty:
            nowhere.append(spoken(str(strategy)))
        else:
            begins.append((float(beyond.iloc[0]), spoken(str(strategy))))
    last = view.at(rows[column].max())
    if not begins:
        return f"Up to {last} no approximate strategy loses more than {LEAST:g} points of {measure.label}"
    told = ", ".join(f"by {name} at {view.at(length)}" for length, name in sorted(begins))
    without = f"; {listed(nowhere)} {'lose' if len(nowhere) > 1 else 'loses'} no more up to {last}" if nowhere else ""
    return f"More than {LEAST:g} points of {measure.label} are first lost {told}{without}"


def _exact(rows: pd.DataFrame, column: str) -> pd.Series:
    """What exact strategies lose at each length."""
    known = exact_rows(rows)
    return pd.Series({length: exact_percent(mine) for length, mine in known.groupby(column)}, dtype=float)
