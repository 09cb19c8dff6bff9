"""The advice in two sentences: which strategy to use, and where the time of its step goes."""

from __future__ import annotations

import pandas as pd

from . import choice, saving, step
from .rows import cases, timed


def answer(rows: pd.DataFrame) -> list[str]:
    """Give the short advice on one model on one device, for the longest cell of the largest batch.

    ``rows`` are as for ``advise``. The result is empty if nothing was timed.
    """
    known = timed(rows)
    for column in ("batch_size", "tgt_len", "src_len"):
        known = known[known[column] == known[column].max()]
    if known.empty:
        return []
    place, cell = next(cases(known))
    best = next(row for row in cell if row["strategy"] == row["best_strategy"])
    first = f"At {place}, use {choice.told(cell)}"
    if saved := saving.against(best, cell):
        first += f"; {saved}"
    if any(pd.isna(best.get(name)) for name in ("floor_fraction", "mbu", "mfu")):
        return [f"{first}."]
    second = f"Of its step, {step.shares(best)}"
    if not step.is_decided(best):
        return [f"{first}.", f"{second}."]
    return [f"{first}.", f"{second}: it would gain from {step.remedy(best)}."]
