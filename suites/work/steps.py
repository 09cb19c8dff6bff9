"""Sums of costs over decode steps, in a time that does not grow with the number of steps.

By the model's formulas, every cost of a step is linear in a few numbers: 1, the rows fed T, the keys read M, the
product T * M, and what is copied. So the sum of a cost over any steps follows from the cost's coefficients and the sums
of these numbers.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from fractions import Fraction
from typing import NamedTuple

from strategies import Strategy

ONE_BY_ONE = 1 << 14
"""Greatest number of steps of a target that are all added one by one."""
LEAF = 32
"""Greatest number of steps of a piece, of a longer target, that are added one by one."""
MOST_ASKED = 1 << 16
"""Number of steps of a longer target whose facts are asked for before every piece left counts as straight."""
FEW_ASKED = 1 << 8
"""The same for an estimate, of a target of any length."""


class Facts(NamedTuple):
    """Rows fed T, keys read M and rows copied of one step; and what beams copy before it, per sequence.

    ``selects`` is 1 if beams are reordered before the step, else 0. ``reordered`` are rows of each layer's K and V,
    ``entries`` those of index tables.
    """

    rows: int
    keys: int
    copied: int
    reordered: int = 0
    entries: int = 0
    selects: int = 0


@dataclass(frozen=True)
class Sums:
    """Sums over some steps: their number, T * M, and each of ``Facts``."""

    steps: int = 0
    pairs: int = 0
    rows: int = 0
    keys: int = 0
    copied: int = 0
    reordered: int = 0
    entries: int = 0
    selects: int = 0

    @classmethod
    def of(cls, facts: Facts) -> Sums:
        """The sums over a single step."""
        return cls(1, facts.rows * facts.keys, *facts)

    def __add__(self, other: Sums) -> Sums:
        return Sums(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Linear:
    """A cost as its coefficients, in the order of the fields of ``Sums`` that they multiply."""

    coefficients: tuple[int, ...]

    def __call__(self, sums: Sums) -> int:
        """The cost of the steps that ``sums`` were taken over."""
        return sum(map(operator.mul, self.coefficients, astuple(sums)))


def linear(cost: Callable[[Facts], Mapping[str, int]]) -> dict[str, Linear]:
    """Find the coefficients of costs from ``cost(facts)``, which gives one step's costs by name.

    >>> linear(lambda of: {"f": 5 + 2 * of.rows * of.keys + 3 * of.copied})["f"]
    Linear(coefficients=(5, 2, 0, 0, 3, 0, 0, 0))
    """
    count = len(Facts._fields)
    none = cost(Facts(*[0] * count))
    ones = [cost(Facts(*(int(i == one) for i in range(count)))) for one in range(count)]
    both = cost(Facts(1, 1, *[0] * (count - 2)))
    found = {}
    for name, least in none.items():
        alone = [one[name] - least for one in ones]
        found[name] = Linear((least, both[name] - alone[0] - alone[1] - least, *alone))
    return found


def facts_at(bound: Strategy, k: int, beams: int = 1) -> Facts:
    """Facts of the step that attends k keys, asked of a strategy that is bound to a target length.

    Beams are reordered between two steps. That counts to the later one, so never to the first, nor after the last.
    """
    rows, keys, copied, before = bound.rows_fed(k), bound.keys_read(k), bound.rows_copied(k), k - 1
    if beams == 1:
        return Facts(rows, keys, copied)
    copied += bound.rows_gathered(k)
    if not before:
        return Facts(rows, keys, copied)
    return Facts(rows, keys, copied, bound.rows_reordered(before), bound.entries_reordered(before), 1)


def sum_over_steps(bound: Strategy, last: int, beams: int = 1) -> Sums:
    """Sum the facts over the steps k = 1 .. ``last``.

    The sums are exact for up to ONE_BY_ONE steps. A longer range is cut into pieces: a piece in which each fact is a
    straight line, judged by a few probes, is added in closed form, and any other piece is halved. The facts of the
    strategies that ship are straight in a few pieces. A fact that rises in small stairs would have every step asked
    for, so after MOST_ASKED steps each piece left, which is small by then, counts as straight.
    """
    if last <= ONE_BY_ONE:
        return _one_by_one(bound, 1, last, beams)
    return _by_pieces(bound, last, MOST_ASKED, beams)


def estimated_sum(bound: Strategy, last: int, beams: int = 1) -> Sums:
    """``sum_over_steps`` from the facts of at most about FEW_ASKED steps, for a forecast.

    It is exact for facts that are straight in a few pieces, as those of the strategies that ship are, and close for
    facts that rise in small stairs.
    """
    return _by_pieces(bound, last, FEW_ASKED, beams)


def _one_by_one(bound: Strategy, first: int, last: int, beams: int) -> Sums:
    facts = [facts_at(bound, k, beams) for k in range(first, last + 1)]
    return Sums(len(facts), sum(at.rows * at.keys for at in facts), *map(sum, zip(*facts, strict=True)))


def _by_pieces(bound: Strategy, last: int, most_asked: int, beams: int) -> Sums:
    total, asked = Sums(), 0
    pieces = deque([(1, last)])
    while pieces:  # the longest pieces come first, so that those left at the end are short
        first, end = pieces.popleft()
        if end - first < LEAF:
            total += _one_by_one(bound, first, end, beams)
            asked += LEAF
            continue
        probes = {k: facts_at(bound, k, beams) for k in _probes(first, end)}
        asked += len(probes)
        if asked > most_asked or _is_straight(probes):
            total += _straight(first, end, probes[first], probes[end])
        else:
            middle = (first + end) // 2
            pieces += (first, middle), (middle + 1, end)
    return total


def _probes(first: int, end: int) -> list[int]:
    """Steps to probe in a piece: both ends, their neighbours, and four between at spacings of no common period."""
    span = end - first
    return sorted({first, first + 1, end - 1, end, *(first + span * part // 89 for part in (13, 34, 55, 76))})


def _is_straight(probes: Mapping[int, Facts]) -> bool:
    """Whether each fact lies, at every probe, on the line through its values at the first two probes."""
    (first, start), (_, second), *_ = probes.items()
    return all(
        value == start[i] + (second[i] - start[i]) * (k - first)
        for k, facts in probes.items()
        for i, value in enumerate(facts)
    )


def _straight(first: int, end: int, start: Facts, stop: Facts) -> Sums:
    """Sums over a piece whose facts go in straight lines from ``start`` at k = ``first`` to ``stop`` at k = ``end``."""
    steps = end - first + 1
    rises = [Fraction(b - a, steps - 1) for a, b in zip(start, stop, strict=True)]
    ones = steps * (steps - 1) // 2  # the sum of 0 .. steps - 1; squares is the sum of their squares
    squares = ones * (2 * steps - 1) // 3
    sums = (int(steps * a + rise * ones) for a, rise in zip(start, rises, strict=True))
    cross = start[0] * rises[1] + start[1] * rises[0]
    pairs = int(steps * start[0] * start[1] + cross * ones + rises[0] * rises[1] * squares)
    return Sums(steps, pairs, *sums)
