"""The formula of peak memory as polynomials in batch, source and target, for readers that evaluate it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import sympy

from strategies import DTYPES, ModelConfig, Strategy
from strategies.models.footprint import Remembered, moments
from strategies.models.parameters import parameter_bytes
from strategies.search.begin import bytes_per_logit
from strategies.search.options import Greedy, Search

from .polynomial import Polynomial, polynomial
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

    The peak is the largest of ``moments[dtype]``. ``longest`` is the longest target that the strategy holds, None if it
    has no limit of its own. The formula holds from two target tokens on.
    """

    label: str
    moments: dict[str, list[Polynomial]]
    longest: int | None


def peak_formula(
    config: ModelConfig, strategy: Strategy, padded: bool = False, search: Search = GREEDY
) -> PeakFormula | None:
    """Return the formula of ``predicted_peak_bytes`` in letters, for each type of element.

    None if a fact of the strategy is no number, N, N - 1 or 2 N, or if a step before the last can be the peak. Keys of
    the source must all be read. ``padded`` says whether sources hold padding, and
    ``search`` how the next tokens are chosen. Raises StrategyError if no target fits the strategy.
    """
    limit = longest_target(strategy, UNLIMITED)
    longest = None if limit == UNLIMITED else limit
    lengths = [n for n in SAMPLE if longest is None or n <= longest]
    steps = [remembered(strategy, n, n, search.width) for n in lengths]
    if any(len(kept) > 1 for kept in steps):
        return None
    facts = [kept[0] for kept in steps]
    same = ("cross", "beams", "cross_shared", "cross_moved")
    letters: dict[str, Any] = {name: getattr(facts[0], name) if facts else False for name in same}
    for field in (
        "reserved_first", "reserved_last", "copied", "rows", "keys", "gathered", "moved", "entries", "expanded",
    ):  # fmt: skip
        letter = _letter(lengths, [getattr(fact, field) for fact in facts])
        if letter is None:
            return None
        letters[field] = letter
    kept = Remembered(**letters)
    found = {}
    for name, dtype in DTYPES.items():
        of_row = row_bytes(config, strategy.bind(longest or SAMPLE[0]), dtype)
        choosing = bytes_per_logit(search, config.vocab_size, dtype.itemsize)
        alive: list[Any] = moments(config, B, S, N, replace(kept, choosing=choosing, row_bytes=of_row), dtype, padded)
        every = [polynomial(one) for one in dict.fromkeys(map(sympy.expand, alive))]
        found[name] = every
    return PeakFormula(strategy.label, found, longest)


def weight_bytes_by_dtype(config: ModelConfig) -> dict[str, int]:
    """Bytes of the weights in each type of element, without copies that a kernel makes."""
    return {name: parameter_bytes(config, name) for name in DTYPES}


def _letter(lengths: list[int], values: list[int]) -> Any:
    """Read numbers at those lengths as a constant, N, N - 1 or 2 N; None if they are none of these."""
    known: list[tuple[Any, Callable[[int], int]]] = [
        (values[0] if values else 0, lambda _: values[0]),
        (N, lambda n: n),
        (N - 1, lambda n: n - 1),
        (2 * N, lambda n: 2 * n),
    ]
    return next((letter for letter, of in known if [of(n) for n in lengths] == values), None)
