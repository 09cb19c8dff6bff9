"""The legend of the ranked table, for ``run --legend`` and the page."""

from __future__ import annotations

from ..judging.baseline import CROSSING
from ..judging.verdict import MARGIN
from ..words.comparison import CLOSE
from .sparkline import LONGEST


def legend(base: str = "the baseline", margin: float = MARGIN, beyond: float = CROSSING) -> str:
    """Explain the columns of the ranked table and the words of verdicts.

    ``base`` names the baseline. ``margin`` and ``beyond``, which holds for contenders, are shares of 1: 0.02 for 2 %.
    """
    contenders = (
        f" (for contenders {100 * beyond:.3g} %, as the same code differs between processes)" if beyond > margin else ""
    )
    return (
        f"ms/token: time per output token after the first. tokens/s: of the whole batch. speedup: {base}'s end-to-end "
        "time over the case's, paired within rounds (the mean of the logs). In brackets is its interval at the level "
        "at which Holm's procedure tested it. Where it excludes 1 there is a difference, and the chance that any such "
        "finding of the run is wrong, among comparisons with the baseline, is at most 5 %. Comparisons with the "
        "quickest strategy are adjusted likewise, but err somewhat more often, as the same rounds choose it. The plain "
        "95 % interval is in table.csv. quality: an approximate strategy need not give full recompute's logits. top-1 "
        "is the share of steps at which it finds the same token most likely as an exact strategy, whose tokens it is "
        "fed. The phoneme error is beside that of exact strategies, in percentage points; other models have the edits "
        "of its free output over the exact tokens. More is in table.csv. KV cache: reserved bytes. peak: bytes of live "
        "tensors above the weights; on CUDA, the allocator's peak. rounds: one bar per round, or, beyond "
        f"{LONGEST} rounds, per several that follow one another, of which it shows the slowest. The scale is the same "
        "everywhere: low is 0.75 times the case's median, high 1.5 times. faster, slower: the interval excludes 1, and "
        f"the ratio is further from 1 than the margin of {100 * margin:.3g} %{contenders}. about as fast: the plain "
        f"interval lies within the margin. {CLOSE}: the interval excludes 1, but the ratio is not further from 1 than "
        "that. probably: only the plain interval excludes 1. cannot tell: neither does. ?: one of these three. "
        "!: something else may have changed the times; advice.txt says what."
    )
