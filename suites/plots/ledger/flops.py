"""The picture of a step's FLOPs by role, stacked against k."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from . import stacks

NAME = "flops_by_role"
UNITS = ((1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"), (1e3, "kFLOPs"))


def draw(ledger: pd.DataFrame, src_len: int) -> tuple[Figure, str]:
    """Return the figure and its caption."""
    foot = "Every product of a step, in all layers; prefill apart."
    drawn = stacks.drawn(ledger, src_len, ledger["flops"], stacks.Quantity("computes", "FLOPs", UNITS), foot)
    return drawn, (
        "What a decode step computes, by what the products do, against k, the number of tokens that self-"
        "attention looks at. Where a strategy remembers nothing, all k rows go through nearly every product again, "
        "and those areas grow; where K and V are kept, only self-attention's scores and context do, the thin area on "
        "top. Cross-attention's K/V projection has one size at every step, and is gone where it was done once per "
        "sentence. The number at the end of each curve is the step's total; strategies that compute the same "
        "share a panel."
    )
