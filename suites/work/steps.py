"""Sums of costs over decode steps, in a time that does not grow with the number of steps.

By the model's formulas, every cost of a step is linear in a few numbers: 1, the rows fed T, the keys read, the products
of T with the keys, and what is copied. So the sum of a cost over any steps follows from the cost's coefficients and the
sums of these numbers.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from strategies import Strategy
from strategies.prefix import prefix_rows

from .growths import growths

ONE_BY_ONE = 1 << 14
"""Greatest number of steps of a target that are all added one by one."""
LEAF = 32
"""Greatest number of steps of a piece, of a longer target, that are added one by one."""
MOST_ASKED = 1 << 16
"""Number of steps of a longer target whose facts are asked for before every piece left counts as straight."""
FEW_ASKED = 1 << 8
"""The same for an estimate, of a target of any length."""


class Facts(NamedTuple):
    """The numbers of one step that its cost is linear in, by the names that ``costs.StepShape`` gives them."""

    rows: int
    keys: int
    copied: int
    expanded: int
    cross_keys: int
    cross_copied: int
    cross_observed: int
    reordered: int = 0
    entries: int = 0
    source_reordered: int = 0


PAIRS = ("rows", "keys"), ("rows", "cross_keys"), ("rows", "cross_observed")
"""Facts whose product counts too, because attention multiplies each row with each key."""
_PLACES = [(Facts._fields.index(one), Facts._fields.index(other)) for one, other in PAIRS]


@dataclass(frozen=True)
class Sums:
    """Sums over some steps: their number, the products of ``PAIRS``, and each of ``Facts``."""

    steps: int = 0
    rows_keys: int = 0
    rows_cross_keys: int = 0
    rows_cross_observed: int = 0
    rows: int = 0
    keys: int = 0
    copied: int = 0
    expanded: int = 0
    cross_keys: int = 0
    cross_copied: int = 0
    cross_observed: int = 0
    reordered: int = 0
    entries: int = 0
    source_reordered: int = 0

    @classmethod
    def of(cls, facts: Facts) -> Sums:
        """The sums over a single step."""
        numbers = 1, *(facts[i] * facts[j] for i, j in _PLACES), *facts
        return cls(*numbers)

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
    Linear(coefficients=(5, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0))
    """

    def at(*ones: int) -> Mapping[str, int]:
        return cost(Facts(*(int(place in ones) for place in range(len(Facts._fields)))))

    none, each = at(), [at(place) for place in range(len(Facts._fields))]
    both = [(i, j, at(i, j)) for i, j in _PLACES]
    found = {}
    for name in {name: 0 for costs in (none, *each) for name in costs}:  # some costs are there only where they are met
        least = none.get(name, 0)
        alone = [one.get(name, 0) - least for one in each]
        found[name] = Linear((least, *(two.get(name, 0) - alone[i] - alone[j] - least for i, j, two in both), *alone))
    return found


def facts_at(bound: Strategy, k: int, src_len: int, beams: int = 1, first: int = 1) -> Facts:
    """Facts of the step that attends k keys, asked of a strategy that is bound to a target length.

    ``first`` is the k of the first step, P after a prefix of P tokens. Beams are reordered between two steps. That
    counts to the later one, so never to the first, nor after the last.
    """
    before = k - 1 if k > first else 0
    cross_keys = bound.cross_keys_read(k, src_len)
    # Rows of a prefix are fed before any key of the source is dropped.
    held = bound.cross_keys_read(before or 1, src_len) if bound.cross == "cached" else cross_keys
    facts = Facts(
        bound.rows_fed(k),
        bound.keys_read(k),
        bound.rows_copied(k),
        bound.rows_expanded(k),
        cross_keys,
        cross_keys if cross_keys < held else 0,
        bound.cross_keys_observed(k, src_len),
    )
    if beams == 1:
        return facts
    facts = facts._replace(copied=facts.copied + bound.rows_gathered(k))
    if not before:
        return facts
    source = held if bound.cross == "cached" else src_len
    return facts._replace(
        reordered=bound.rows_reordered(before),
        entries=bound.entries_reordered(before),
        source_reordered=source if bound.cross_beams == "expanded" else 0,
    )


def prefix_facts(bound: Strategy, prefix_len: int, src_len: int) -> Facts | None:
    """Facts of the pass in which prefill feeds rows of a prefix, or None if it feeds none.

    Nothing is there yet that could be copied to make room. Raises StrategyError as ``prefix_rows`` does.
    """
    fed = prefix_rows(bound, prefix_len)
    if not fed:
        return None
    cross_keys, observed = bound.cross_keys_read(1, src_len), bound.cross_keys_observed(1, src_len)
    copied = bound.rows_copied(fed) if bound.rows_copied(fed) > fed - 1 else 0
    return Facts(fed, bound.keys_read(fed), copied, bound.rows_expanded(fed), cross_keys, 0, observed)


def sum_over_steps(bound: Strategy, last: int, src_len: int, beams: int = 1, first: int = 1) -> Sums:
    """Sum the facts over the steps k = ``first`` .. ``last``.

    The sums are exact for up to ONE_BY_ONE steps. A longer range is cut where a buffer grows, and into pieces: a piece
    in which each fact is a straight line, judged by a few probes, is added in closed form, and any other piece is
    halved. A fact that rises in small stairs would have every step asked for, so after MOST_ASKED steps each piece
    left, which is small by then, counts as straight.
    """
    if last <= ONE_BY_ONE:
        return _one_by_one(_asked(bound, src_len, beams, first), range(first, last + 1))
    return _by_pieces(bound, first, last, MOST_ASKED, src_len, beams)


def estimated_sum(bound: Strategy, last: int, src_len: int, beams: int = 1, first: int = 1) -> Sums:
    """``sum_over_steps`` from the facts of at most about FEW_ASKED steps, for a forecast.

    It is exact for facts that are straight in a few pieces, as those of most strategies that ship are. For facts that
    rise in stairs, as keys read in length buckets and rows of the last block do, it is within some 10 %.
    """
    return _by_pieces(bound, first, last, FEW_ASKED, src_len, beams)


def _asked(bound: Strategy, src_len: int, beams: int, first: int) -> Callable[[int], Facts]:
    return lambda k: facts_at(bound, k, src_len, beams, first)


def _one_by_one(facts_of: Callable[[int], Facts], steps: range) -> Sums:
    facts = [facts_of(k) for k in steps]
    pairs = (sum(at[i] * at[j] for at in facts) for i, j in _PLACES)
    return Sums(len(facts), *pairs, *map(sum, zip(*facts, strict=True)))


def _by_pieces(bound: Strategy, first_step: int, last: int, most_asked: int, src_len: int, beams: int) -> Sums:
    facts_of = _asked(bound, src_len, beams, first_step)
    grown = [k for k in growths(bound, last) if k >= first_step]
    total, asked = sum((_one_by_one(facts_of, range(k, k + 1)) for k in grown), Sums()), len(grown)
    between = [(a + 1, b - 1) for a, b in pairwise([first_step - 1, *grown, last + 1]) if b - a > 1]
    pieces = deque(sorted(between, key=lambda piece: piece[0] - piece[1]))
    while pieces:  # the longest pieces come first, so that those left at the end are short
        first, end = pieces.popleft()
        if end - first < LEAF:
            total += _one_by_one(facts_of, range(first, end + 1))
            asked += end - first + 1
            continue
        probes = {k: facts_of(k) for k in _probes(first, end)}
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

    def pair(i: int, j: int) -> int:
        mixed = start[i] * rises[j] + start[j] * rises[i]
        return int(steps * start[i] * start[j] + mixed * ones + rises[i] * rises[j] * squares)

    return Sums(steps, *(pair(i, j) for i, j in _PLACES), *sums)
