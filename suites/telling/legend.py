"""The legend below the ranked table, which explains its columns and words."""

from __future__ import annotations

import pandas as pd


def legend(base: str, margin: float, table: pd.DataFrame) -> str:
    """Explain the columns of the ranked table, and the crossover. ``margin`` is a share of 1: 0.02 for 2 %."""
    beyond = table["e2e_beyond"].max()
    contenders = (
        f" ({100 * beyond:.3g} % for contenders, as the same code differs between processes)" if beyond > margin else ""
    )
    return (
        f"total: end to end, median. a step: time per output token. ratio: total over {base}'s, geometric mean "
        "paired within rounds, with its 95 % interval (each for itself). verdict: faster, slower: the interval "
        f"excludes 1, the ratio is beyond the margin of {100 * margin:.3g} %{contenders}, and p < 0.05 after Holm's "
        "adjustment over all ratios of the run; same: the interval lies within the margin; ?: undecided. waste: FLOPs "
        "over necessary ones. K/V: reserved. peak: live tensor bytes above the weights. Formulas: run --help. "
        f"crossover: the first k from which on cumulative time, prefill included, is less than {base}'s, from fits "
        "a + b k + c k^2 of latency, with its 95 % interval"
    )
