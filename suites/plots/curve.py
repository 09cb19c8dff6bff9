"""A curve of a strategy over cells: a mark at each cell, hollow where the cell was disturbed, and whiskers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .looks import Look


def is_disturbed(rows: pd.DataFrame) -> pd.Series:
    """Whether something may have spoiled the times of each row's cell; False where that is not known."""
    return rows["disturbed_by"] != ""


def curve(
    axes: Axes,
    x: pd.Series,
    y: pd.Series,
    look: Look,
    hollow: pd.Series | None = None,
    ends: pd.DataFrame | None = None,
) -> None:
    """Draw y against x. ``ends`` holds the lower and the upper end of each whisker, in the scale of y."""
    axes.plot(x, y, **look.line())
    if ends is not None:
        low, high = (y - ends.iloc[:, 0]).clip(lower=0), (ends.iloc[:, 1] - y).clip(lower=0)
        known = (low + high).notna() & np.isfinite(high)
        if known.any():
            spread = [low[known], high[known]]
            axes.errorbar(x[known], y[known], yerr=spread, fmt="none", ecolor=look.color, elinewidth=1.0, capsize=2.5)
    if hollow is not None and hollow.any():
        face = {"markerfacecolor": "white", "markeredgewidth": 1.2, "linestyle": "none"}
        axes.plot(x[hollow], y[hollow], **look.line() | face)
