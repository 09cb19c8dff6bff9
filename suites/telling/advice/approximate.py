"""What approximate strategies lose, and what they save beside the quickest exact one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from ...words.comparison import Compared, factor, spoken
from ...words.quality import is_approximate, losses, steps
from ...words.quantity import percent, quantity
from .rows import Row, cases, longest
from .section import Section


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence per approximate strategy, in the longest cell of each batch size."""
    found = []
    for place, cell in cases(longest(rows)):
        if lossy := [row for row in cell if is_approximate(row)]:
            title = f"what approximate strategies lose and save, {place}"
            found.append(Section(title, [sentence_of(row, cell) for row in lossy]))
    return found


def sentence_of(row: Row, cell: Sequence[Row]) -> str:
    """Say what an approximate case of a cell loses, what it holds, and how its time compares with the best exact one.

    Where it ends after other steps, the times of a step are compared.

    >>> exact = {"strategy": "static_kv", "best_strategy": "static_kv", "kv_reserved_bytes": 400.0, "exact": 1.0}
    >>> row = {"strategy": "window_kv", "best_strategy": "static_kv", "kv_reserved_bytes": 100.0, "exact": 0.0,
    ...        "top1_equal": 0.9, "kl_nats": 0.1, "best_ratio": 0.5, "best_ratio_low": 0.4, "best_ratio_high": 0.6,
    ...        "best_verdict": "faster", "rounds": 6}
    >>> sentence_of(row, [exact, row]).partition(". ")[2]
    'It holds 25 % of the K/V bytes of static_kv and is 2x faster than static_kv [1.7, 2.5]'
    """
    told = f"{spoken(row['strategy'])} is approximate: {losses(row, exact_error(cell))}"
    best = next((one for one in cell if one["strategy"] == row["best_strategy"]), row)
    if is_approximate(best):
        return f"{told}. No exact strategy was timed beside it"
    name, held = spoken(best["strategy"]), held_by(row, best)
    if ended := steps(row):
        told += f". It decodes {ended[0]} steps freely, an exact strategy {ended[1]}"
        ratio = float(row["tpot_s"]) / float(best["tpot_s"])
        timed = (
            "times are not compared" if math.isnan(ratio) else f"per step it takes {factor(ratio)} the time of {name}"
        )
        return f"{told}. It holds {held.rstrip(',')}; {timed}"
    clause = Compared.of(row, "best").clause("it", name)
    joined = f"{held.rstrip(',')}; " if clause.startswith("cannot") else f"{held} and "
    return f"{told}. It holds {joined}{clause.removeprefix('it ')}"


def held_by(row: Row, best: Row) -> str:
    """The K/V bytes of an approximate case as a share of those of an exact one, and its peak of memory likewise.

    Where it differs, the share of the bytes of self-attention alone is told too.

    >>> exact = {"strategy": "static_kv", "kv_reserved_bytes": 600, "kv_cross_bytes": 300, "peak_memory_bytes": 800}
    >>> held_by({"kv_reserved_bytes": 390, "kv_cross_bytes": 300, "peak_memory_bytes": 720}, exact)
    '65 % of the K/V bytes of static_kv (of self-attention alone 30 %), at 90 % of its peak of memory,'
    """
    mine, theirs = row["kv_reserved_bytes"], best["kv_reserved_bytes"]
    if not theirs > 0:
        return f"{quantity(mine, 'B')} of K/V"
    told = f"{percent(mine / theirs)} of the K/V bytes of {spoken(best['strategy'])}"
    own, others = (float(one["kv_reserved_bytes"]) - float(one.get("kv_cross_bytes", math.nan)) for one in (row, best))
    if others > 0 and percent(own / others) != percent(mine / theirs):
        told += f" (of self-attention alone {percent(own / others)})"
    peak = float(row.get("peak_memory_bytes", math.nan)) / float(best.get("peak_memory_bytes", math.nan))
    return told if math.isnan(peak) else f"{told}, at {percent(peak)} of its peak of memory,"


def exact_error(cell: Sequence[Row]) -> float:
    """The phoneme error of the exact strategies of a cell; NaN where it is not known."""
    found = (float(row.get("phoneme_error", math.nan)) for row in cell if not is_approximate(row))
    return next((error for error in found if not math.isnan(error)), math.nan)
