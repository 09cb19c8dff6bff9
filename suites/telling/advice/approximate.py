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
    name, mine, theirs = spoken(best["strategy"]), row["kv_reserved_bytes"], best["kv_reserved_bytes"]
    share = percent(mine / theirs) if theirs > 0 else ""
    held = f"{share} of the K/V bytes of {name}" if share else f"{quantity(mine, 'B')} of K/V"
    if ended := steps(row):
        told += f". It decodes {ended[0]} steps freely, an exact strategy {ended[1]}"
        ratio = float(row["tpot_s"]) / float(best["tpot_s"])
        timed = (
            "times are not compared" if math.isnan(ratio) else f"per step it takes {factor(ratio)} the time of {name}"
        )
        return f"{told}. It holds {held}; {timed}"
    clause = Compared.of(row, "best").clause("it", name)
    return f"{told}. It holds {held}{'; ' if clause.startswith('cannot') else ' and '}{clause.removeprefix('it ')}"


def exact_error(cell: Sequence[Row]) -> float:
    """The phoneme error of the exact strategies of a cell; NaN where it is not known."""
    found = (float(row.get("phoneme_error", math.nan)) for row in cell if not is_approximate(row))
    return next((error for error in found if not math.isnan(error)), math.nan)
