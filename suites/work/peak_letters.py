"""The formula of peak memory as polynomials in batch, source and target, for readers that evaluate it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy

from strategies import DTYPES, ModelConfig, Strategy
from strategies.models.footprint import Remembered, moments
from strategies.models.parameters import parameter_bytes
from strategies.prefix import prefix_rows
from strategies.search.begin import bytes_per_logit
from strategies.search.options import Greedy, Search

from .polynomial import Polynomial, evaluated, polynomial
from .remembered import remembered
from .row_bytes import row_bytes
from .targets import longest_target

B, S, N = (sympy.Symbol(name, positive=True, integer=True) for name in "BSN")
"""Batch in sentences, source and target in tokens."""
GREEDY = Greedy()
SAMPLE = (2, 3, 5, 17, 63, 64, 65, 100, 128, 129, 500, 1000)
"""Target lengths at which a strategy is asked for its facts, to read them as letters."""
UNLIMITED = 1000 * SAMPLE[-1]
"""Target length at which a strategy that holds it counts as one without a limit of its own."""


@dataclass(frozen=True)
class PeakFormula:
    """The memory that one strategy needs, in bytes above the weights.

    The peak is the largest of ``moments[dtype]``, each of which is the least of one polynomial or two. ``longest`` is
    the longest target that the strategy holds, None if it has no limit of its own. The formula holds from two target
    tokens on.
    """

    label: str
    moments: dict[str, list[list[Polynomial]]]
    longest: int | None

    def peak(self, dtype: str, numbers: Mapping[str, int]) -> int:
        """The bytes for numbers of the letters B, S and N."""
        return max(min(evaluated(one, numbers) for one in moment) for moment in self.moments[dtype])


def peak_formula(
    config: ModelConfig, strategy: Strategy, padded: bool = False, search: Search = GREEDY
) -> PeakFormula | None:
    """Return the formula of ``predicted_peak_bytes`` in letters, for each type of element.

    None if a fact of the strategy is no number, N, N - 1 or 2 N (or, for keys, the less of a number and N), or if a
    step before the last can be the peak. Keys of the source must all be read. ``padded`` says whether sources hold
    padding, and ``search`` how the next tokens are chosen. Raises StrategyError if no target fits the strategy.
    """
    limit = longest_target(strategy, UNLIMITED)
    longest = None if limit == UNLIMITED else max(0, limit - config.prefix_len + 1)
    lengths = [n for n in SAMPLE if longest is None or n <= longest]
    rows, forced = [config.target_rows(n) for n in lengths], config.prefix_len
    steps = [remembered(strategy, last, last, search.width, forced) for last in rows]
    passes = [1 + (prefix_rows(strategy.bind(last), forced) > 0) for last in rows]  # the last step, and the prefix
    if [len(kept) for kept in steps] != passes or len(set(passes)) > 1:
        return None
    every_kept = [_in_letters(rows, kept, config) for kept in zip(*steps, strict=True)]
    if not all(every_kept):
        return None
    found = {}
    for name, dtype in DTYPES.items():
        of_row = row_bytes(config, strategy.bind(rows[-1] if rows else SAMPLE[0]), dtype)
        choosing = bytes_per_logit(search, config.vocab_size, dtype.itemsize)
        alive: list[tuple[Any, ...]] = []
        for variants in every_kept or [[Remembered(0, 0, 0, 0, 0, cross=False)]]:
            wholes = [replace(kept, choosing=choosing, row_bytes=of_row) for kept in variants]
            each = [moments(config, B, S, config.target_rows(N), whole, dtype, padded) for whole in wholes]
            alive += [tuple(dict.fromkeys(map(sympy.expand, moment))) for moment in zip(*each, strict=True)]
        found[name] = [[polynomial(one) for one in moment] for moment in dict.fromkeys(alive)]
    return PeakFormula(strategy.label, found, longest)


def _in_letters(rows: list[int], kept: tuple[Remembered, ...], config: ModelConfig) -> list[Remembered]:
    """What is kept for targets of so many ``rows`` as letters; nothing if a fact is none that ``_letter`` reads.

    The keys may be the less of a number and of all rows, as in a length bucket of a buffer. Then both variants are
    returned. Memory never falls where more keys are read, so the less of what the two need is what is needed.
    """
    letters: dict[str, Any] = {
        name: getattr(kept[0], name) for name in ("cross", "beams", "cross_shared", "cross_moved")
    }
    last, variants = config.target_rows(N), list[int]()
    for field in (
        "reserved_first", "reserved_last", "copied", "rows", "keys", "gathered", "moved", "entries", "expanded",
    ):  # fmt: skip
        values = [getattr(one, field) for one in kept]
        letter = _letter(rows, values, last)
        if letter is None and field == "keys" and values == [min(max(values), n) for n in rows]:
            letters[field] = last
            variants = [max(values)]
        elif letter is None:
            return []
        else:
            letters[field] = letter
    return [Remembered(**letters), *(Remembered(**letters | {"keys": number}) for number in variants)]


def weight_bytes_by_dtype(config: ModelConfig) -> dict[str, int]:
    """Bytes of the weights in each type of element, without copies that a kernel makes."""
    return {name: parameter_bytes(config, name) for name in DTYPES}


def _letter(lengths: list[int], values: list[int], last: Any) -> Any:
    """Read numbers at those lengths as a constant, ``last``, ``last`` - 1 or 2 ``last``; None if they are none."""
    known: list[tuple[Any, Callable[[int], int]]] = [
        (values[0], lambda _: values[0]),
        (last, lambda n: n),
        (last - 1, lambda n: n - 1),
        (2 * last, lambda n: 2 * n),
    ]
    return next((letter for letter, of in known if [of(n) for n in lengths] == values), None)
