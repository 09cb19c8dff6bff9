"""The ledger's letters as plain data: the products of a decoder layer, from which a page's script computes any step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strategies import ModelConfig, Strategy, StrategyError
from strategies.models.costs import Product

from ..work.polynomial import Polynomial, polynomial
from ..work.role_names import in_model_order, role_name
from . import expected
from .symbols import GROWING, LETTERS, SIZES, evaluate, grows_with, text, values
from .verify import facts_of

LONG = 300
"""Target length at which the letters are checked: beyond the shadow's lengths, so that a length bucket is no C."""


@dataclass(frozen=True)
class ProductLetters:
    """One matrix product: its four sizes as text and as polynomials. ``once``: it runs before the first step alone.

    A plain product (``weight``) counts the B sentences among its rows. ``grows`` is "k", "S" or "".
    """

    role: str
    weight: bool
    once: bool
    count: int
    grows: str
    text: dict[str, str]
    sizes: dict[str, Polynomial]


@dataclass(frozen=True)
class StrategyLetters:
    """One strategy at any step k.

    ``rows`` are the rows fed and ``keys`` the keys read. ``kept`` are rows of K and V that were kept before the step,
    and ``moved`` those of them that are copied. ``reserved`` is the memory that is set aside, in rows. ``capacity`` is
    a fixed C, None where C is the target length or there is none.
    """

    label: str
    rows: str
    keys: str
    kept: Polynomial
    moved: Polynomial
    reserved: str
    capacity: int | None
    cross: bool
    products: list[ProductLetters]


def strategy_letters(config: ModelConfig, strategy: Strategy) -> StrategyLetters | None:
    """Return a strategy's products in letters; None if no letter says what a step feeds, reads or keeps.

    Raises StrategyError if no target fits the strategy.
    """
    known = facts_of(strategy)
    reserved, capacity = _reserved(strategy)
    if reserved is None or known.copied == "some" or not _holds(strategy, known):
        return None
    products = [*_decoder(expected.prefill(config, known), True), *_decoder(expected.step(config, known), False)]
    order = in_model_order(one.role for one in products)
    before = GROWING["k"] - 1
    return StrategyLetters(
        strategy.label,
        text(known.rows),
        text(known.keys),
        polynomial(0 if reserved == "0" else before),
        polynomial(before if known.copied else 0),
        reserved,
        capacity,
        known.cross_cached,
        sorted(products, key=lambda one: order.index(one.role)),
    )


def layer_letters(config: ModelConfig, strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Return the letters with their meanings, the sizes of the model, and every strategy that letters describe."""
    found = [strategy_letters(config, strategy) for strategy in strategies]
    return {
        "meanings": LETTERS,
        "sizes": {str(letter): number for letter, number in values(config).items()},
        "layers": config.decoder_layers,
        "strategies": [dataclasses.asdict(one) for one in found if one],
    }


def _decoder(products: Sequence[Product], once: bool) -> list[ProductLetters]:
    return [_letters(product, once) for product in products if not product.role.startswith("encoder.")]


def _letters(product: Product, once: bool) -> ProductLetters:
    # A plain product counts the sentences among its rows; people read them apart.
    rows: Any = product.rows if product.is_attention else product.rows / SIZES["B"]
    batch: Any = product.batch if product.is_attention else SIZES["B"]
    sizes: dict[str, Any] = {"batch": batch, "rows": rows, "inner": product.inner, "cols": product.cols}
    follows = grows_with(product)
    return ProductLetters(
        role_name(product.role),
        not product.is_attention,
        once,
        product.count,
        "k" if "k" in follows else "S" if "S" in follows else "",
        {name: text(size) for name, size in sizes.items()},
        {name: polynomial(size) for name, size in sizes.items()},
    )


def _holds(strategy: Strategy, known: expected.Facts) -> bool:
    """Whether the letters of ``known`` give the rows fed and the keys read of a long target too."""
    if {str(known.rows), str(known.keys)} & {"T", "M"}:
        return False
    length = next((n for n in (LONG, 31) if _binds(strategy, n)), 0)
    bound = strategy.bind(length) if length else strategy
    return all(
        (evaluate(known.rows, numbers), evaluate(known.keys, numbers)) == (bound.rows_fed(k), bound.keys_read(k))
        for k in range(1, length + 1)
        for numbers in [{GROWING["k"]: k, GROWING["C"]: bound.rows_reserved(k)}]
    )


def _binds(strategy: Strategy, length: int) -> bool:
    try:
        strategy.bind(length)
    except StrategyError:
        return False
    return True


def _reserved(strategy: Strategy) -> tuple[str | None, int | None]:
    """(rows that are set aside, in letters: 0, k or C; C if it is fixed), read at two target lengths.

    The first is None if the rows are none of these.
    """
    found: set[tuple[str | None, int | None]] = set()
    for length in (29, 31):
        if not _binds(strategy, length):
            return None, None
        bound = strategy.bind(length)
        rows = [bound.rows_reserved(k) for k in range(1, length + 1)]
        if not any(rows):
            found.add(("0", None))
        elif rows == list(range(1, length + 1)):
            found.add(("k", None))
        elif len(set(rows)) == 1:
            found.add(("C", None if rows[0] == length else rows[0]))
        else:
            return None, None
    return found.pop() if len(found) == 1 else (None, None)
