"""Sums over decode steps of what a strategy's facts say, in a time that does not grow with the number of steps.

Every cost of a step, by the model's formulas, is linear in five numbers: 1, the rows fed T, the keys read M, T * M, and
the rows copied. So a cost's five coefficients and the sums of the five numbers give its sum over any steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from strategies import Strategy

Facts = tuple[int, int, int]
"""T, M and rows copied of one step."""
ONE_BY_ONE = 1 << 14
"""So many steps are added one by one."""
LEAF = 32
"""So are those of a piece that is no longer."""
MOST_ASKED = 1 << 16
"""Steps whose facts are asked for, at most, of a longer target."""


@dataclass(frozen=True)
class Sums:
    """Over some steps: how many, T, M, T * M, and rows copied."""

    steps: int = 0
    rows: int = 0
    keys: int = 0
    pairs: int = 0
    copied: int = 0

    @classmethod
    def of(cls, facts: Facts) -> Sums:
        """Of one step."""
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
    """A cost by its coefficients, each of the sum of the same name."""

    steps: int
    rows: int
    keys: int
    pairs: int
    copied: int

    def __call__(self, sums: Sums) -> int:
        """The cost of those steps."""
        return (
            self.steps * sums.steps
            + self.rows * sums.rows
            + self.keys * sums.keys
            + self.pairs * sums.pairs
            + self.copied * sums.copied
        )


def linear(cost: Callable[[int, int, int], Mapping[str, int]]) -> dict[str, Linear]:
    """The coefficients of costs by name, which ``cost(rows, keys, copied)`` gives of one step.

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
    """Of the step that attends k keys, by a strategy that is bound to a target length."""
    return bound.rows_fed(k), bound.keys_read(k), bound.rows_copied(k)


def sum_over_steps(bound: Strategy, last: int) -> Sums:
    """Over k = 1 .. ``last``.

    Exact for up to ONE_BY_ONE steps. Of more, pieces of k in which each fact is a straight line, as probes say, are
    added in closed form, and others are halved; the facts that ship are lines in a few pieces. One that goes by small
    stairs would ask for every step: after MOST_ASKED of them each small piece that is left counts as straight.
    """
    if last <= ONE_BY_ONE:
        return sum((Sums.of(facts_at(bound, k)) for k in range(1, last + 1)), Sums())
    total, asked = Sums(), 0
    pieces = deque([(1, last)])
    while pieces:  # the longest are first, so that those that are left at the end are short
        first, end = pieces.popleft()
        if end - first < LEAF:
            total += sum((Sums.of(facts_at(bound, k)) for k in range(first, end + 1)), Sums())
            asked += LEAF
            continue
        probes = {k: facts_at(bound, k) for k in _probes(first, end)}
        asked += len(probes)
        if asked > MOST_ASKED or _is_straight(probes):
            total += _straight(first, end, probes[first], probes[end])
        else:
            middle = (first + end) // 2
            pieces += (first, middle), (middle + 1, end)
    return total


def _probes(first: int, end: int) -> list[int]:
    """Both ends, their neighbours, and places between that share no period."""
    span = end - first
    return sorted({first, first + 1, end - 1, end, *(first + span * part // 89 for part in (13, 34, 55, 76))})


def _is_straight(probes: Mapping[int, Facts]) -> bool:
    """Whether each fact is a line through its values at the first two probes."""
    (first, start), (_, second), *_ = probes.items()
    return all(
        value == start[i] + (second[i] - start[i]) * (k - first)
        for k, facts in probes.items()
        for i, value in enumerate(facts)
    )


def _straight(first: int, end: int, start: Facts, stop: Facts) -> Sums:
    """Sums of three lines from ``start`` at k = ``first`` to ``stop`` at k = ``end``."""
    steps = end - first + 1
    rises = [Fraction(b - a, steps - 1) for a, b in zip(start, stop, strict=True)]
    ones = steps * (steps - 1) // 2  # the sum of 0 .. steps - 1, and of their squares
    squares = ones * (2 * steps - 1) // 3
    rows, keys, copied = (int(steps * a + rise * ones) for a, rise in zip(start, rises, strict=True))
    cross = start[0] * rises[1] + start[1] * rises[0]
    pairs = int(steps * start[0] * start[1] + cross * ones + rises[0] * rises[1] * squares)
    return Sums(steps, rows, keys, pairs, copied)
