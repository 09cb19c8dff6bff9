"""What a comparison of two runs says in words: whether the second is worse, and each change."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from ..words.comparison import direction, factor, precise
from ..words.quantity import percent

SHOWN = 3
"""Number of things that are worse and are named in the headline."""


def conclusion(found: pd.DataFrame) -> str:
    """The headline, then how many figures and ratios were judged."""
    return f"{headline(found)} {judged(found)}"


def headline(found: pd.DataFrame) -> str:
    """Say whether the second run is worse, is not, or whether its rounds cannot tell.

    They cannot tell where an undecided change may be a slowdown beyond the margin.
    """
    if worse := _worse(found):
        more = f"; and {len(worse) - SHOWN} more" if len(worse) > SHOWN else ""
        return f"The second run is worse: {'; '.join(worse[:SHOWN])}{more}."
    rows = found[found["kind"].isin(["ratio", "time"]) & found["verdict"].notna()]
    may_be_slower = (rows["verdict"] == "undecided") & ~(rows["change_high"] <= 1 + rows["margin"])
    probably = may_be_slower & (rows["change_low"] > 1)
    if not may_be_slower.any():
        return f"The second run is not worse{'' if rows.empty else f' beyond the {_margin(rows)}'}."
    of_all = f"of {len(rows)} {'ratios and times' if rows['kind'].nunique() > 1 else 'ratios'}"
    parts = []
    if number := int(probably.sum()):
        parts.append(f"{number} {of_all} {_is(number)} probably slower, which is not certain")
    if number := int((may_be_slower & ~probably).sum()):
        intervals = _intervals(rows[may_be_slower & ~probably])
        parts.append(intervals if number == len(rows) else f"{number} {of_all}: {intervals}")
    return f"Cannot tell: {'; '.join(parts)}. Nothing is worse with confidence."


def _margin(rows: pd.DataFrame) -> str:
    """Name the margin of ratios, and that of times if these were judged: "margin of 5 %", "margins of 5 % and 10 %"."""
    margins = [percent(margin) for margin in dict.fromkeys(rows["margin"])]
    return f"{'margin' if len(margins) == 1 else 'margins'} of {' and '.join(margins)}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _intervals(rows: pd.DataFrame) -> str:
    """How wide the intervals are, if that is why they say nothing: "intervals up to ±30 %, margin 5 %"."""
    halves = [half for half in map(_half, rows["change_low"], rows["change_high"]) if not math.isnan(half)]
    if not halves:
        return "fewer than two rounds"
    one, margin = len(rows) == 1, _margin(rows)
    if max(halves) < float(rows["margin"].min()):
        return f"{'an interval reaches' if one else 'intervals reach'} beyond the {margin}"
    told = f"{'interval' if one else 'intervals up to'} {_width(max(halves))}"
    return f"{told}, {margin.replace(' of', '', 1)}"


def _half(low: float, high: float) -> float:
    """Half the width of an interval of ratios, as a share: 0.1 for 1/1.1 to 1.1."""
    return math.sqrt(high / low) - 1


def _width(half: float) -> str:
    """Write half the width of an interval of ratios.

    >>> _width(0.3), _width(4.0)
    ('±30 %', '5x each way')
    """
    return f"±{percent(half)}" if half < 1 else f"{factor(1 + half)} each way"


def _worse(found: pd.DataFrame) -> list[str]:
    """One clause for each figure of each strategy that fails the comparison, with its number of cases."""
    bad = found[found["gate"] == "yes"]
    clauses = []
    for (strategy, figure, verdict), rows in bad.groupby(["strategy", "figure", "verdict"], sort=False):
        worst = float(rows["change"].max())
        if figure == "status":
            text = f"{strategy} {verdict}"
        elif figure == "e2e_ratio":
            base = " or ".join(dict.fromkeys(rows["baseline"]))
            text = f"{strategy} is {factor(worst)} slower relative to {base}"
        elif rows["kind"].iloc[0] == "quality":
            text = f"the quality of {strategy} is {verdict}: {figure}"
            if len(rows) == 1:
                text += f" {rows['a'].iloc[0]:.3g} -> {rows['b'].iloc[0]:.3g}"
        elif figure == "e2e_s":
            text = f"{strategy} takes {factor(worst)} the time"
        else:
            text = f"{figure} of {strategy} {verdict}"
            text += "" if math.isnan(worst) or verdict != "grew" else f" by {percent(worst - 1)}"
        several = f" ({len(rows)} cases)" if figure == "status" else f" (the worst of {len(rows)} cases)"
        clauses.append(text + (several if len(rows) > 1 else ""))
    return clauses


def judged(found: pd.DataFrame) -> str:
    """How many deterministic figures are the same, and how many ratios and times were judged with which verdicts."""
    exact = found[(found["kind"] == "deterministic") & (found["figure"] != "status")]
    parts = [f"{int((exact['verdict'] == 'same').sum())} of {len(exact)} deterministic figures are the same"]
    parts.append(_counted(found, "e2e_ratio", "ratio"))
    if (found["figure"].eq("e2e_s") & found["verdict"].notna()).any():
        parts.append(_counted(found, "e2e_s", "time"))
    return "; ".join(parts) + "."


def _counted(found: pd.DataFrame, figure: str, noun: str) -> str:
    """Say how many were judged: "3 ratios were judged (2 indistinguishable, 1 undecided)"."""
    words = found.loc[found["figure"] == figure, "verdict"]
    told = ", ".join(f"{number} {word}" for word, number in words.value_counts(sort=False).items())
    count = f"{len(words) or 'no'} {noun}{'s were' if len(words) > 1 else ' was'} judged"
    return f"{count} ({told})" if told else count


def change_in_words(row: Mapping[Hashable, Any]) -> str:
    """Say how a ratio or a time changed, with its 95 % interval; the words follow from the verdict.

    >>> row = {"change": 1.2, "change_low": 1.1, "change_high": 1.3, "verdict": "slower", "margin": 0.05}
    >>> change_in_words(row), change_in_words(row | {"verdict": "undecided"})
    ('1.2x slower [1.10, 1.30]', 'probably 1.2x slower [1.10, 1.30] (not certain)')
    >>> change_in_words(row | {"change_low": 0.8, "verdict": "undecided"})
    'cannot tell: interval ±27 %'
    """
    change, low, high, verdict = (row[name] for name in ("change", "change_low", "change_high", "verdict"))
    if pd.isna(low):
        return direction(change) if pd.isna(verdict) else "cannot tell: fewer than two rounds"
    ends = (low, high) if change > 1 else (1 / high, 1 / low)
    interval = f"[{', '.join(map(precise, ends))}]"
    if verdict == "indistinguishable":
        return f"about as fast (within {percent(row['margin'])})"
    if verdict == "undecided" and low <= 1 <= high:
        return f"cannot tell: interval {_width(_half(low, high))}"
    if verdict == "undecided":
        return f"probably {direction(change)} {interval} (not certain)"
    return f"{direction(change)} {interval}"
