"""Sums of costs over decode steps, in a time that does not grow with the number of steps.

By the model's formulas, every cost of a step is linear in five numbers: 1, the rows fed T, the keys read M, the product
T * M, and the rows copied. So the sum of a cost over any steps follows from the cost's five coefficients and the sums
of the five numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from strategies import Strategy

Facts = tuple[int, int, int]
"""Rows fed T, keys read M and rows copied of one step."""
ONE_BY_ONE = 1 << 14
"""Greatest number of steps of a target that are all added one by one."""
LEAF = 32
"""Greatest number of steps of a piece, of a longer target, that are added one by one."""
MOST_ASKED = 1 << 16
"""Number of steps of a longer target whose facts are asked for before every piece left counts as straight."""
FEW_ASKED = 1 << 8
"""The same for an estimate, of a target of any length."""


@dataclass(frozen=True)
class Sums:
    """Sums over some steps: their number, T, M, T * M, and rows copied."""

    steps: int = 0
    rows: int = 0
    keys: int = 0
    pairs: int = 0
    copied: int = 0

    @classmethod
    def of(cls, facts: Facts) -> Sums:
        """The sums over a single step."""
        rows, keys, copied = facts
        return cls(1, rows, keys, rows * keys, copied)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.steps + other.steps,
            self.rows + other.rows,
            self.keys + other.keys,
            self.pairs + other.pairs,
            self.copied + other.copied,
        )


@dataclass(frozen=True)
class Linear:
    """A cost as its five coefficients; each multiplies the field of ``Sums`` with the same name."""

    steps: int
    rows: int
    keys: int
    pairs: int
    copied: int

    def __call__(self, sums: Sums) -> int:
        """The cost of the steps that ``sums`` were taken over."""
        return (
            self.steps * sums.steps
            + self.rows * sums.rows
            + self.keys * sums.keys
            + self.pairs * sums.pairs
            + self.copied * sums.copied
        )


def linear(cost: Callable[[int, int, int], Mapping[str, int]]) -> dict[str, Linear]:
    """Find the coefficients of costs from ``cost(rows, keys, copied)``, which gives one step's costs by name.

    >>> linear(lambda rows, keys, copied: {"f": 5 + 2 * rows * keys + 3 * copied})["f"]
    Linear(steps=5, rows=0, keys=0, pairs=2, copied=3)
    """
    none, rows, keys, both, copied = cost(0, 0, 0), cost(1, 0, 0), cost(0, 1, 0), cost(1, 1, 0), cost(0, 0, 1)
    return {
        name: Linear(
            least,
            rows[name] - least,
            keys[name] - least,
            both[name] - rows[name] - keys[name] + least,
            copied[name] - least,
        )
        for name, least in none.items()
    }


def facts_at(bound: Strategy, k: int) -> Facts:
    """Facts of the step that attends k keys, asked of a strategy that is bound to a target length."""
    return bound.rows_fed(k), bound.keys_read(k), bound.rows_copied(k)


def sum_over_steps(bound: Strategy, last: int) -> Sums:
    """Sum the facts over the steps k = 1 .. ``last``.

    The sums are exact for up to ONE_BY_ONE steps. A longer range is cut into pieces: a piece in which each fact is a
    straight line, judged by a few probes, is added in closed form, and any other piece is halved. The facts of the
    strategies that ship are straight in a few pieces. A fact that rises in small stairs would have every step asked
    for, so after MOST_ASKED steps each piece left, which is small by then, counts as straight.
    """
    if last <= ONE_BY_ONE:
        return _one_by_one(bound, 1, last)
    return _by_pieces(bound, last, MOST_ASKED)


def estimated_sum(bound: Strategy, last: int) -> Sums:
    """``sum_over_steps`` from the facts of at most about FEW_ASKED steps, for a forecast.

    It is exact for facts that are straight in a few pieces, as those of the strategies that ship are, and close for
    facts that rise in small stairs.
    """
    return _by_pieces(bound, last, FEW_ASKED)


def _one_by_one(bound: Strategy, first: int, last: int) -> Sums:
    facts = [facts_at(bound, k) for k in range(first, last + 1)]
    rows, keys, copied = (sum(column) for column in zip(*facts, strict=True))
    return Sums(len(facts), rows, keys, sum(fed * read for fed, read, _ in facts), copied)


def _by_pieces(bound: Strategy, last: int, most_asked: int) -> Sums:
    total, asked = Sums(), 0
    pieces = deque([(1, last)])
    while pieces:  # the longest pieces come first, so that those left at the end are short
        first, end = pieces.popleft()
        if end - first < LEAF:
            total += _one_by_one(bound, first, end)
            asked += LEAF
            continue
        probes = {k: facts_at(bound, k) for k in _probes(first, end)}
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
    rows, keys, copied = (int(steps * a + rise * ones) for a, rise in zip(start, rises, strict=True))
    cross = start[0] * rises[1] + start[1] * rises[0]
    pairs = int(steps * start[0] * start[1] + cross * ones + rises[0] * rises[1] * squares)
    return Sums(steps, rows, keys, pairs, copied)
