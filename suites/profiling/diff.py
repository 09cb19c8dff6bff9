"""Two strategies side by side, and a sentence that says where the time went."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from .tables import KINDS, STEP, percents, step_of

SAME = 0.02
"""Two steps that differ by a smaller fraction take the same time: there is nothing to divide."""
NAMED = 5
"""Parts that make up a smaller percentage of the difference are not named in the sentence."""
PARTS = ("self_attn", "cross_attn", "ffn", "lm_head")

Pair = tuple[str, str]
"""Labels of the two strategies."""


def steps_of(ranges: pd.DataFrame, pair: Pair) -> tuple[dict[str, float], dict[str, float]]:
    """``step_of`` each of the two."""
    first, second = (step_of(ranges[ranges["strategy"] == label]) for label in pair)
    return first, second


def diff_table(table: pd.DataFrame, key: str, column: str, ranges: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """``column`` of the decode steps, in seconds a step, of two strategies: one row a value of ``key``.

    Columns: ``key``, first_s, second_s, more_s = first_s - second_s, and its ``share`` of the difference of the whole
    steps. What one of the two does not have is 0 there.
    """
    mine = table[table["range"].str.startswith(STEP)]
    counts = ranges[ranges["range"] == STEP].set_index("strategy")["calls"]
    steps = mine.assign(seconds=mine[column] / mine["strategy"].map(counts))
    sums = {label: group.groupby(key, sort=False)["seconds"].sum() for label, group in steps.groupby("strategy")}
    keys = pd.Index(pd.unique(mine[key]), name=key)
    first, second = (sums[label].reindex(keys, fill_value=0.0) for label in pair)
    whole = [step["time_s"] for step in steps_of(ranges, pair)]
    more = first - second
    columns = {"first_s": first, "second_s": second, "more_s": more, "share": more / (whole[0] - whole[1])}
    return pd.DataFrame(columns).reset_index()


def sentence(ranges: pd.DataFrame, pair: Pair, unprofiled_s: Mapping[str, float]) -> str:
    """How much longer the slower of the two takes for a step, and what of its operators and of Python that is.

    ``unprofiled_s`` is the time of a step of each without the profiler, from which the first ratio is.
    """
    times = dict(zip(pair, steps_of(ranges, pair), strict=True))
    slow, fast = sorted(pair, key=lambda label: -times[label]["time_s"])
    slow_s, fast_s = times[slow]["time_s"], times[fast]["time_s"]
    if slow_s - fast_s < SAME * slow_s:
        return f"{slow} and {fast} take the same time for a step, within {100 * SAME:.0f} %: there is nothing to divide"
    more = percents([times[slow][kind] - times[fast][kind] for kind in KINDS])
    parts = _product_parts(ranges, slow, fast, slow_s - fast_s)
    named = ", ".join(f"{part} {percent} %" for part, percent in parts.items())
    product, other, python = (f"{percent} %" for percent in more)
    negative = " (negative: it takes less there)" if min(*more, *parts.values()) < 0 else ""
    return (
        f"{slow} takes {unprofiled_s[slow] / unprofiled_s[fast]:.2f}x {fast}'s step ({slow_s / fast_s:.2f}x under the "
        f"profiler): {product} of the difference is {KINDS['product_s']}{f' ({named})' if named else ''}, "
        f"{other} {KINDS['other_s']}, {python} {KINDS['python_s']}{negative}"
    )


def _product_parts(ranges: pd.DataFrame, slow: str, fast: str, more_s: float) -> Mapping[str, int]:
    """Percentages of the difference that matrix products of each part of the model make up, the largest first."""
    table = diff_table(ranges, "range", "product_s", ranges, (slow, fast)).set_index("range")["more_s"]
    found = {str(path).rpartition("/")[2]: round(100 * seconds / more_s) for path, seconds in table.items()}
    parts = {part: found[part] for part in PARTS if abs(found.get(part, 0)) >= NAMED}
    return dict(sorted(parts.items(), key=lambda item: -item[1]))
