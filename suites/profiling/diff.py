"""Compare the profiles of two strategies, and say in sentences which is slower and where the time went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ..judging.ratios import Ratio, paired_ratio
from ..judging.verdict import MARGIN
from .tables import KINDS, STEP, apportion, percents, step_of

NAMED = 5
"""Parts with a smaller percentage of the difference are not named in the sentence."""
PARTS = ("self_attn", "cross_attn", "ffn", "lm_head")

Pair = tuple[str, str]
"""Labels of the two strategies."""


@dataclass(frozen=True)
class Comparison:
    """Which of two strategies takes longer per step.

    ``ratio``: time per step of ``slow`` over that of ``fast``, from paired decodes without the profiler. ``profiled``:
    the same ratio under the profiler; it is below 1 if ``fast`` took longer there.
    """

    slow: str
    fast: str
    ratio: Ratio
    profiled: float

    @property
    def within_noise(self) -> bool:
        """Whether the confidence interval of the ratio contains 1."""
        return not self.ratio.low > 1

    @property
    def same(self) -> bool:
        """Whether no difference of interest was seen: it is within noise, or within the margin of ``verdict``."""
        return self.within_noise or self.ratio.value <= 1 + MARGIN

    @property
    def divided(self) -> bool:
        """Whether there is a difference that the profile shows too, so that its parts can be named."""
        return not self.same and self.profiled > 1 + MARGIN


def steps_of(ranges: pd.DataFrame, pair: Pair) -> tuple[dict[str, float], dict[str, float]]:
    """``step_of`` for each of the two strategies."""
    first, second = (step_of(ranges[ranges["strategy"] == label]) for label in pair)
    return first, second


def compare(ranges: pd.DataFrame, pair: Pair, unprofiled_s: Mapping[str, Sequence[float]]) -> Comparison:
    """Compare two strategies.

    ``unprofiled_s``: label -> seconds per step in each decode without the profiler, in the order of the rounds.
    """
    slow, fast = pair
    ratio = paired_ratio(unprofiled_s[slow], unprofiled_s[fast])
    if ratio.value < 1:
        slow, fast = fast, slow
        ratio = paired_ratio(unprofiled_s[slow], unprofiled_s[fast])
    slow_step, fast_step = steps_of(ranges, (slow, fast))
    return Comparison(slow, fast, ratio, slow_step["time_s"] / fast_step["time_s"])


def diff_table(table: pd.DataFrame, key: str, column: str, ranges: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """Compare ``column`` in the decode steps of two strategies, in seconds per step, one row per value of ``key``.

    Columns: ``key``, first_s, second_s, more_s = first_s - second_s, and ``share``, more_s over the difference of the
    whole steps (NaN if there is none). A value of ``key`` that one strategy does not have counts 0 there.
    """
    mine = table[table["range"].str.startswith(STEP)]
    counts = ranges[ranges["range"] == STEP].set_index("strategy")["calls"]
    steps = mine.assign(seconds=mine[column] / mine["strategy"].map(counts))
    sums = {label: group.groupby(key, sort=False)["seconds"].sum() for label, group in steps.groupby("strategy")}
    keys = pd.Index(pd.unique(mine[key]), name=key)
    first, second = (sums[label].reindex(keys, fill_value=0.0) for label in pair)
    first_step, second_step = steps_of(ranges, pair)
    more = first - second
    share = more / (first_step["time_s"] - second_step["time_s"] or math.nan)
    return pd.DataFrame({"first_s": first, "second_s": second, "more_s": more, "share": share}).reset_index()


def sentence(ranges: pd.DataFrame, comparison: Comparison) -> str:
    """How much longer the slower strategy takes per step, and which operators and how much of Python that is."""
    slow, fast, ratio = comparison.slow, comparison.fast, comparison.ratio
    times, interval = f"{ratio.value:.3f}x", f"95 % interval {ratio.low:.3f} to {ratio.high:.3f}"
    profiled = f"{comparison.profiled:.2f}x"
    if comparison.same:
        within = "noise" if comparison.within_noise else f"{100 * MARGIN:.0f} %"
        return (
            f"{slow} and {fast} take the same time for a step within {within}: the first takes {times} the second's "
            f"({interval}; under the profiler {profiled}); there is no difference to divide"
        )
    if not comparison.divided:
        shown = "says the opposite" if comparison.profiled < 1 else "does not show it"
        return (
            f"{slow} takes {times} {fast}'s step ({interval}), but {profiled} under the profiler: the profile {shown}, "
            "so the difference is not divided"
        )
    slow_step, fast_step = steps_of(ranges, (slow, fast))
    more = percents([slow_step[kind] - fast_step[kind] for kind in KINDS])
    parts = _product_parts(ranges, comparison, more[0])
    named = ", ".join(f"{part}{' has' if i == 0 else ''} {points}" for i, (part, points) in enumerate(parts.items()))
    product, other, python = (f"{percent} %" for percent in more)
    negative = f" (negative: {slow} takes less there)" if min(*more, *parts.values()) < 0 else ""
    return (
        f"{slow} takes {times} {fast}'s step ({interval}; under the profiler {profiled}): {product} of the profiled "
        f"difference is {KINDS['product_s']}{f' (of these {more[0]} points {named})' if named else ''}, "
        f"{other} {KINDS['other_s']}, {python} {KINDS['python_s']}{negative}"
    )


def _product_parts(ranges: pd.DataFrame, comparison: Comparison, whole: int) -> dict[str, int]:
    """Percent of the difference that the matrix products of each part of the model make up; they sum to ``whole``.

    The largest comes first, and what is too small to name is "the rest". Empty if there is nothing to name.
    """
    pair = comparison.slow, comparison.fast
    table = diff_table(ranges, "range", "product_s", ranges, pair)
    found = {
        str(path).rpartition("/")[2]: 100 * share for path, share in zip(table["range"], table["share"], strict=True)
    }
    named = {part: found[part] for part in PARTS if abs(found.get(part, 0.0)) >= NAMED}
    if not named:
        return {}
    parts = dict(sorted(named.items(), key=lambda item: -item[1]))
    parts["the rest"] = found[STEP] - sum(named.values())
    points = dict(zip(parts, apportion(list(parts.values()), whole), strict=True))
    return {part: number for part, number in points.items() if number or part != "the rest"}
