"""The picture of a step's FLOPs by role, stacked against k."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ...words.quantity import counted, quantity
from . import stacks
from .panels import prefilled, prefix_rows

NAME = "flops_by_role"
UNITS = ((1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"), (1e3, "kFLOPs"))


def _of_prefix(ledger: pd.DataFrame, src_len: int) -> str:
    """Say what prefill computes for a prefix, from the least strategy to the most; "" where it feeds none of it."""
    if not (fed := prefilled(ledger, src_len)):
        return ""
    rows = prefix_rows(ledger, src_len)
    each = (rows["flops"] * rows["count"]).groupby(rows["strategy"]).sum()
    amounts = dict.fromkeys(quantity(amount, "FLOPs") for amount in (each.min(), each.max()))
    return (
        f" There, {counted(max(fed.values()), 'row')} of the prefix take {' to '.join(amounts)} where K and V are kept."
    )


def draw(ledger: pd.DataFrame, src_len: int) -> tuple[Figure, str]:
    """Return the figure and its caption."""
    foot = f"Every product of a step, in all layers; prefill apart.{_of_prefix(ledger, src_len)}"
    drawn = stacks.drawn(ledger, src_len, ledger["flops"], stacks.Quantity("computes", "FLOPs", UNITS), foot)
    return drawn, (
        "What a decode step computes, by what the products do, against k, the number of tokens that self-"
        "attention looks at. Where a strategy remembers nothing, all k rows go through nearly every product again, "
        "and those areas grow; where K and V are kept, only self-attention's scores and context do, the thin area on "
        "top. Cross-attention's K/V projection has one size at every step, and is gone where it was done once per "
        "sentence. The number at the end of each curve is the step's total; strategies that compute the same "
        "share a panel."
    )
