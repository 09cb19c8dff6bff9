"""Comparisons in words. They follow from the verdict alone: "5.3x faster", "about as fast (within 2 %)".

Tables hold ratios of times. People say speedups, so a ratio of 0.25 is "4x faster", and one of 1.5 "1.5x slower".
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .quantity import percent

CLOSE = "too close to call"
FAR = 1000
"""Factor beyond which the end of an interval says no more than that the rounds differ widely."""
_EXECUTIONS = {"compiled": "compiled", "graph": "captured"}


@dataclass(frozen=True)
class Compared:
    """The times of one case over those of another, its ``verdict`` and what it rests on.

    ``low`` and ``high`` are the plain 95 % interval of ``ratio``, ``holm_low`` and ``holm_high`` the one at the level
    at which Holm's procedure tested it, or the plain one where that is not ``adjusted``, as tables of earlier versions
    have no other. ``beyond`` is the share by which a ratio must differ from 1 to count.
    """

    ratio: float
    low: float
    high: float
    holm_low: float
    holm_high: float
    verdict: str
    rounds: int
    beyond: float
    adjusted: bool = True

    @classmethod
    def of(cls, row: Mapping[Hashable, Any], kind: str = "e2e") -> Compared:
        """Read a row of table.csv, against the baseline ("e2e") or against the quickest strategy of its cell ("best").

        Tables of earlier versions have no interval of Holm's procedure. The plain one then stands in for it.
        """
        ratio, low, high = (float(row[f"{kind}_ratio{end}"]) for end in ("", "_low", "_high"))
        ends = [float(row.get(f"{kind}_holm_{end}", math.nan)) for end in ("low", "high")]
        holm_low, holm_high = (plain if math.isnan(end) else end for end, plain in zip(ends, (low, high), strict=True))
        beyond, rounds = float(row.get("e2e_beyond", math.nan)), row["rounds"]
        verdict = str(row[f"{kind}_verdict"])
        adjusted = not any(map(math.isnan, ends))
        return cls(ratio, low, high, holm_low, holm_high, verdict, int(rounds), beyond, adjusted)

    @property
    def is_decided(self) -> bool:
        """Whether the rounds show which of the two is faster, or that they are about as fast."""
        return self.verdict in ("faster", "slower", "indistinguishable")

    @property
    def is_close(self) -> bool:
        """Whether there is a difference, but one within ``beyond``, so that more rounds would hardly decide."""
        return self.verdict == "undecided" and self.adjusted and (self.holm_low > 1 or self.holm_high < 1)

    @property
    def is_probable(self) -> bool:
        """Whether the plain interval alone shows a difference."""
        return self.verdict == "undecided" and not self.is_close and (self.low > 1 or self.high < 1)

    @property
    def words(self) -> str:
        """The comparison in words, without its interval unless nothing else can be said.

        >>> Compared(0.19, 0.15, 0.25, 0.12, 0.3, "faster", 6, 0.02).words
        '5.3x faster'
        >>> Compared(0.19, 0.04, 0.9, 0.03, 1.2, "undecided", 6, 0.02).words
        'probably 5.3x faster (6 rounds: not certain)'
        >>> Compared(1.0, 0.7, 1.3, 0.5, 1.25, "undecided", 6, 0.02).words
        'cannot tell: 0.8x to 2x as fast'
        >>> Compared(1.03, 1.01, 1.05, 1.005, 1.06, "undecided", 6, 0.05).words
        'within 5 %: too close to call'
        """
        if self.verdict in ("faster", "slower"):
            return direction(self.ratio)
        if self.verdict == "indistinguishable":
            return f"about as fast (within {percent(self.beyond)})" if self.beyond == self.beyond else "about as fast"
        if self.verdict == "baseline":
            return "the baseline"
        if math.isnan(self.holm_low):
            return "cannot tell: fewer than two rounds"
        if self.is_close:
            return f"within {percent(self.beyond)}: {CLOSE}" if self.beyond == self.beyond else CLOSE
        if self.is_probable:
            return f"probably {direction(self.ratio)} ({self.rounds} rounds: not certain)"
        return f"cannot tell: {_bounded(1 / self.holm_high)} to {_bounded(1 / self.holm_low)} as fast"

    @property
    def interval(self) -> str:
        """The interval of Holm's level in the direction of ``words``: "[3.8, 7.3]"; "" without one.

        >>> Compared(2.0, 1.6, 2.4, 1.5, 2.5, "slower", 6, 0.02).interval
        '[1.5, 2.5]'
        """
        return self._interval(slower=self.ratio > 1)

    @property
    def speedup(self) -> str:
        """The speedup as a number with its interval, whatever the verdict: "0.5x [0.4, 0.67]"."""
        return f"{factor(1 / self.ratio)} {self._interval(slower=False)}".rstrip()

    def _interval(self, slower: bool) -> str:
        if math.isnan(self.holm_low):
            return ""
        ends = (self.holm_low, self.holm_high) if slower else (1 / self.holm_high, 1 / self.holm_low)
        return f"[{', '.join(map(_end, ends))}]"

    def beside(self, other: str) -> str:
        """A clause on how a case compares with ``other``, with the interval where a speed is named.

        >>> Compared(0.2, 0.15, 0.25, 0.12, 0.3, "faster", 6, 0.02).beside("full_recompute")
        '5x faster than full_recompute [3.3, 8.3]'
        >>> Compared(1.0, 0.99, 1.01, 0.99, 1.01, "indistinguishable", 6, 0.02).beside("cross_kv")
        'about as fast (within 2 %) as cross_kv'
        >>> Compared(1.03, 1.01, 1.05, 1.005, 1.06, "undecided", 6, 0.05).beside("cross_kv")
        'within 5 % of cross_kv: too close to call'
        """
        if self.verdict in ("faster", "slower"):
            return f"{self.words} than {other} {self.interval}".rstrip()
        if self.verdict == "indistinguishable":
            return f"{self.words} as {other}"
        if self.is_close:
            share = percent(self.beyond) if self.beyond == self.beyond else ""
            return f"within {share} of {other}: {CLOSE}" if share else f"too close to {other} to call"
        if self.is_probable:
            return f"probably {direction(self.ratio)} than {other} {self.interval} ({self.rounds} rounds: not certain)"
        return f"{self.words} as {other}" if self.words.endswith("fast") else self.words

    def clause(self, name: str, other: str) -> str:
        """A clause that says how ``name``, whose ratio this is, compares with ``other``.

        >>> Compared(1.0, 0.7, 1.3, 0.5, 1.25, "undecided", 6, 0.02).clause("cross_kv", "it")
        'cannot tell cross_kv from it: 0.8x to 2x as fast'
        >>> Compared(2.0, 1.6, 2.4, 1.5, 2.5, "slower", 6, 0.02).clause("cross_kv", "it")
        'cross_kv is 2x slower than it [1.5, 2.5]'
        """
        if self.words.startswith("cannot tell"):
            return f"cannot tell {name} from {other}{self.words.removeprefix('cannot tell')}"
        return f"{name} is {self.beside(other)}"


def _bounded(value: float) -> str:
    """Write an end of an interval as ``factor`` does, without digits where it lies so far from 1 that it says nothing.

    >>> _bounded(7.34), _bounded(4e90), _bounded(3e-8)
    ('7.3x', '>1000x', '<0.001x')
    """
    if value > FAR:
        return f">{FAR}x"
    return f"<{1 / FAR:g}x" if value < 1 / FAR else factor(value)


def _end(value: float) -> str:
    """Write an end of an interval in brackets, with more decimals where it would look like 1.

    >>> _end(7.34), _end(1.0), _end(1.0042), _end(0.9996), _end(1e9)
    ('7.3', '1.00', '1.004', '0.9996', '>1000')
    """
    decimals = decimals_beside_1(value)
    return _bounded(value)[:-1] if decimals == 2 else f"{value:.{decimals}f}"


def decimals_beside_1(value: float) -> int:
    """Number of decimals, from 2 to 5, with which a value that is not 1 does not look like 1.

    >>> decimals_beside_1(1.1), decimals_beside_1(1.0042), decimals_beside_1(1.0)
    (2, 3, 2)
    """
    decimals = 2
    while decimals < 5 and value != 1 and round(value, decimals) == 1:
        decimals += 1
    return decimals


def precise(value: float) -> str:
    """Write a factor without its x, with two decimals, or with more where it would look like 1.

    >>> precise(1.1), precise(1.0021), precise(12.34)
    ('1.10', '1.002', '12.3')
    """
    return f"{value:.{decimals_beside_1(value)}f}" if value < 10 else f"{value:.3g}"


def direction(ratio: float) -> str:
    """Say a ratio of times as "5.3x faster" or "1.2x slower".

    >>> direction(0.19), direction(1.2)
    ('5.3x faster', '1.2x slower')
    """
    return f"{factor(1 / ratio)} faster" if ratio <= 1 else f"{factor(ratio)} slower"


def factor(value: float) -> str:
    """Write a factor with two digits, with two decimals near 1, and as a whole number from 100 on.

    >>> factor(5.26), factor(1.034), factor(0.998), factor(158.6), factor(12.0)
    ('5.3x', '1.03x', '1.00x', '159x', '12x')
    """
    if value >= 99.5:
        return f"{value:.0f}x"
    return f"{value:.2f}x" if 0.9 <= value < 1.095 else f"{value:.2g}x"


def spoken(label: str) -> str:
    """Name a strategy without the options that its execution implies.

    >>> spoken("static_kv(execution=graph,read=bucket)"), spoken("static_kv(cross=recompute,execution=compiled)")
    ('captured static_kv', 'compiled static_kv(cross=recompute)')
    """
    executed = next((word for name, word in _EXECUTIONS.items() if f"execution={name}" in _options(label)), "")
    return f"{executed} {eagerly(label)}" if executed else label


def baseline_told(baselines: Iterable[str]) -> str:
    """Name the one baseline of some rows; "the baseline" where cells differ in it, and "" where no row has one.

    >>> baseline_told(["full_recompute", "", "full_recompute"]), baseline_told(["full_recompute", "cross_kv"])
    ('full_recompute', 'the baseline')
    """
    named = set(filter(None, baselines))
    return spoken(named.pop()) if len(named) == 1 else "the baseline" if named else ""


def names_of(labels: Sequence[str]) -> dict[str, str]:
    """Map each label to its spoken name, or to itself where two of them would have one name.

    >>> names_of(["static_kv", "static_kv(execution=compiled,read=bucket)"])
    {'static_kv': 'static_kv', 'static_kv(execution=compiled,read=bucket)': 'compiled static_kv'}
    """
    names = list(map(spoken, labels))
    return dict(zip(labels, names if len(set(names)) == len(names) else labels, strict=True))


def eagerly(label: str) -> str:
    """Label of the same strategy executed eagerly: without the options that its execution implies.

    >>> eagerly("static_kv(execution=graph,read=bucket)"), eagerly("static_kv(read=bucket)")
    ('static_kv', 'static_kv(read=bucket)')
    """
    options = _options(label)
    if not any(one.startswith("execution=") for one in options):
        return label
    left = [one for one in options if not one.startswith("execution=") and one != "read=bucket"]
    return label.partition("(")[0] + (f"({','.join(left)})" if left else "")


def _options(label: str) -> list[str]:
    found = re.fullmatch(r"\w+\((.*)\)", label)
    return found[1].split(",") if found else []
