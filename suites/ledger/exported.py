"""The ledger's letters as plain data: the products of a decoder layer, from which a page's script computes any step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strategies import ModelConfig, Strategy
from strategies.facts import CrossBeams
from strategies.models.costs import Product

from ..work.polynomial import Polynomial, polynomial
from ..work.role_names import in_model_order, role_name
from ..work.targets import longest_target
from . import expected
from .sizes import values
from .symbols import GROWING, LETTERS, SIZES, grows_with, sequences, text
from .verify import LONG, facts_of

OF_ENCODER = {"Hₑ", "dₑ", "Fₑ", "m", "P"}
"""Letters of products that no step of the decoder has."""
LONGEST = 4096
"""Longest target of a page's tools: up to it length buckets are listed. Sources and batches reach no further."""


@dataclass(frozen=True)
class ProductLetters:
    """One matrix product: its four sizes as text and as polynomials. ``once``: it runs before the first step alone.

    A plain product (``weight``) counts the B sentences, or with beams the B * W sequences, among its rows. ``grows`` is
    "k", "S" or "".
    """

    role: str
    weight: bool
    once: bool
    count: int
    grows: str
    text: dict[str, str]
    sizes: dict[str, Polynomial]


@dataclass(frozen=True)
class BeamLetters:
    """What beam search makes a strategy copy.

    ``reordered``: whether the kept rows are copied before each step, ``table``: whether a table that says where they
    lie is copied instead. ``gathered``: whether a step gathers what it reads. ``cross``: what the beams of a sentence
    keep of its source.
    """

    reordered: bool
    table: bool
    gathered: bool
    cross: CrossBeams


@dataclass(frozen=True)
class StrategyLetters:
    """One strategy at any step k.

    ``rows`` are the rows fed and ``keys`` the keys read. ``kept`` are rows of K and V that were kept before the step,
    and ``moved`` those of them that are copied. ``reserved`` is the memory that is set aside, in rows. ``capacity`` is
    a fixed C, None where C is the target length or there is none. Where the keys are M, ``buckets`` are the numbers
    that M takes up to a target of ``LONGEST`` tokens: M is the first that holds k, and at most C. ``beams`` is None
    where a sentence has one sequence.
    """

    label: str
    rows: str
    keys: str
    kept: Polynomial
    moved: Polynomial
    reserved: str
    capacity: int | None
    buckets: list[int]
    cross: bool
    beams: BeamLetters | None
    products: list[ProductLetters]


def strategy_letters(config: ModelConfig, strategy: Strategy, beams: int = 1) -> StrategyLetters | None:
    """Return a strategy's products in letters; None if no letter says what a step feeds, reads, keeps or reorders.

    None, too, for a strategy that makes rows anew to be read, or reads a part of the source. Raises StrategyError if no
    target fits the strategy.
    """
    known = facts_of(strategy, beams)
    reserved, capacity = _reserved(strategy)
    buckets = _buckets(strategy) if known.keys == GROWING["M"] else []
    copied = (known.copied, known.gathered, known.reordered, known.entries)
    if known.expanded or known.cross_keys != GROWING["S"] or known.cross_observed:
        return None
    if reserved is None or buckets is None or any("some" in one for one in copied) or known.rows == GROWING["T"]:
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
        buckets,
        known.cross_cached,
        BeamLetters(bool(known.reordered), bool(known.entries), bool(known.gathered), known.cross_beams)
        if beams > 1
        else None,
        sorted(products, key=lambda one: order.index(one.role)),
    )


def layer_letters(config: ModelConfig, strategies: Sequence[Strategy], beams: int = 1) -> dict[str, Any]:
    """Return the letters with their meanings, the sizes of the model, and every strategy that letters describe.

    W=``beams`` is one of the sizes if a sentence has several.
    """
    found = [strategy_letters(config, strategy, beams) for strategy in strategies]
    sizes = {str(letter): number for letter, number in values(config, beams).items()}
    absent = {*SIZES} - {*sizes} - {"B", "G"} | OF_ENCODER
    return {
        "meanings": {letter: meaning for letter, meaning in LETTERS.items() if letter not in absent},
        "sizes": {letter: number for letter, number in sizes.items() if letter not in OF_ENCODER},
        "layers": config.decoder_layers,
        "strategies": [dataclasses.asdict(one) for one in found if one],
    }


def _decoder(products: Sequence[Product], once: bool) -> list[ProductLetters]:
    return [_letters(product, once) for product in products if not product.role.startswith("encoder.")]


def _letters(product: Product, once: bool) -> ProductLetters:
    # A plain product counts the sequences among its rows; people read them apart.
    rows: Any = product.rows if product.is_attention else product.rows / sequences(product)
    batch: Any = product.batch if product.is_attention else sequences(product)
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


def _buckets(strategy: Strategy) -> list[int] | None:
    """The numbers of keys that some step reads, in order; None if not each step reads the first that holds k."""
    length = longest_target(strategy, LONGEST)
    bound = strategy.bind(length)
    found = sorted({bound.keys_read(k) for k in range(1, length + 1)})
    for shorter in {min(length, n) for n in (31, LONG)}:
        bound = strategy.bind(shorter)
        for k in range(1, shorter + 1):
            if bound.keys_read(k) != min(next((n for n in found if n >= k), 0), bound.rows_reserved(k)):
                return None
    return found


def _reserved(strategy: Strategy) -> tuple[str | None, int | None]:
    """(rows that are set aside, in letters: 0, k or C; C if it is fixed), read at two target lengths.

    The first is None if the rows are none of these.
    """
    most = longest_target(strategy, 31)
    lengths = [length for length in (most - 2, most) if length > 0]
    found = [[strategy.bind(n).rows_reserved(k) for k in range(1, n + 1)] for n in lengths]
    if not any(any(rows) for rows in found):
        return "0", None
    if most > 1 and all(rows == list(range(1, n + 1)) for rows, n in zip(found, lengths, strict=True)):
        return "k", None
    if any(len(set(rows)) > 1 for rows in found):
        return None, None
    fixed = {rows[0] for rows in found}
    if len(fixed) == 1:
        return "C", fixed.pop()
    return ("C", None) if [rows[0] for rows in found] == lengths else (None, None)
