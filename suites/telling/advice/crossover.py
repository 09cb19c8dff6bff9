"""From which token on a strategy or contender has taken less cumulative time than the baseline."""

from __future__ import annotations

import math

import pandas as pd

from ...words.comparison import spoken
from .rows import Row, cases, longest, named
from .section import Section


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence for each case that was timed beside the baseline, in the longest cell of each batch size.

    A contender whose library lets no token be marked has none: when its tokens came is not known.
    """
    timed = rows[(rows["strategy"] != rows["baseline"]) & rows["e2e_ratio"].notna() & rows["ttft_s"].notna()]
    return [
        Section(f"from which token on it pays, {place}", [sentence_of(row) for row in cell])
        for place, cell in cases(longest(timed))
    ]


def sentence_of(case: Row) -> str:
    """Say where one row of the table crosses over, with the interval in brackets unless both its ends are equal.

    The crossover is undecided if the upper end of its interval is never. End-to-end times may not show what the fits
    do, as these leave far steps out and have an interval of their own.

    >>> names = {"strategy": "static_kv", "baseline": "cross_kv", "tgt_len": 64, "stop": "fixed"}
    >>> sentence_of(names | {"crossover_k": 9.0, "crossover_low_k": 6.0, "crossover_high_k": math.nan})
    'cannot tell from which token on static_kv beats cross_kv within 64 tokens: k = 9 [6, never]'
    """
    name, other = named(case), spoken(case["baseline"])
    k, low, high = (case[f"crossover_{end}"] for end in ("k", "low_k", "high_k"))
    ends = ["never" if math.isnan(end) else f"{end:.0f}" for end in (low, high)]
    interval = f" [{', '.join(ends)}]" if ends[0] != ends[1] else ""
    tokens = f"{case['tgt_len']} {'token' if case['tgt_len'] == 1 else 'tokens'}"
    within = f"within {tokens}" if case["stop"] == "fixed" else "before the end"
    if math.isnan(low):
        return f"{name} never beats {other} {within}"
    if math.isnan(high):
        if math.isnan(k):
            return f"cannot tell whether {name} beats {other} {within}"
        return f"cannot tell from which token on {name} beats {other} {within}: k = {k:.0f}{interval}"
    start = "the first token" if k == 1 else f"k = {k:.0f}"
    told = f"{name} beats {other} from {start} on{interval}"
    if case.get("e2e_ratio_high", 0.0) >= 1:
        told += ", by fits to the steps; the end-to-end times do not show it for certain"
    return told
