"""Formula against record: on a shadow model whose sizes are primes, so that no two letters can stand for each other,
and on the model itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from strategies import ModelConfig, Strategy, StrategyError
from strategies.models.costs import Product
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.init import randomize

from ..inputs import Inputs
from . import expected
from .expected import Facts, facts
from .recorded import Recorded, record_decoding, record_training
from .symbols import GROWING, Expression, evaluate, values

BATCH, SOURCE, TARGET, STEP, CAPACITY = 5, 17, 23, 11, 29
"""B, S, N, k and C of the shadow."""


class LedgerError(ValueError):
    """Formula and record differ; the message names product and step."""


def shadow_config(config: ModelConfig) -> ModelConfig:
    """The same architecture in other sizes: primes, but for D = 2 x 19, as sinusoids come in pairs."""
    return dataclasses.replace(
        config, vocab_size=101, d_model=38, num_heads=7, d_kv=13, d_ff=43, encoder_layers=2, decoder_layers=3
    )


def in_numbers(products: Sequence[Product], numbers: dict[Expression, int]) -> list[Product]:
    """Each letter replaced by its number."""

    def number(p: Product, size: str) -> int:
        return evaluate(getattr(p, size), numbers)

    return [
        Product(p.role, number(p, "batch"), number(p, "rows"), number(p, "inner"), number(p, "cols"), p.count)
        for p in products
    ]


def require_equal(formula: Sequence[Product], found: Recorded) -> None:
    """Raise LedgerError naming the first product that only one of the two has, or that differs."""
    if sorted(formula) == sorted(found.products):
        return
    said, ran = ({p.role: p for p in products} for products in (formula, found.products))
    where = found.phase if found.k is None else f"step {found.k}"
    for role in [*said, *ran]:
        if said.get(role) != ran.get(role) or len([p for p in found.products if p.role == role]) > 1:
            raise LedgerError(
                f"{role} in {where} of {found.strategy}: the formula says {_shape(said.get(role))}, the running "
                f"model {_shape(*(p for p in found.products if p.role == role))}; mend the formula or the facts"
            )


def _shape(*products: Product | None) -> str:
    shapes = [f"{p.count} x [{p.batch}, {p.rows}, {p.inner}] x [{p.inner}, {p.cols}]" for p in products if p]
    return " and ".join(shapes) or "no such product"


def facts_of(strategy: Strategy) -> Facts:
    """Its facts in letters, recognised where no two letters have the same number. Raises StrategyError."""
    return facts(*_bind(strategy))


def formula_of(config: ModelConfig, known: Facts | None, found: Recorded) -> list[Product]:
    """The products, in letters, that belong to a recorded phase."""
    if known is None:
        return expected.training(config)
    return (expected.prefill if found.phase == "prefill" else expected.step)(config, known)


def check_shadow(config: ModelConfig, strategies: Sequence[Strategy]) -> None:
    """Run training and step ``STEP`` of every strategy on the shadow model. Raises LedgerError at a difference."""
    small = shadow_config(config)
    model = randomize(EncoderDecoder(small), 0).eval()
    generator = torch.Generator().manual_seed(0)
    inputs = Inputs(torch.randint(2, small.vocab_size, (BATCH, SOURCE), generator=generator), None, (SOURCE,) * BATCH)
    token_BN = torch.randint(2, small.vocab_size, (BATCH, TARGET), generator=generator)
    sizes = values(small, B=BATCH, S=SOURCE, N=TARGET)
    found = record_training(model, inputs, token_BN)
    require_equal(in_numbers(expected.training(small), sizes), found)
    for strategy in strategies:
        bound, steps = _bind(strategy)
        known = facts(bound, steps)
        for found in record_decoding(model, bound, inputs, token_BN[:, :steps], {min(STEP, steps)}):
            letters = expected.numbers(bound, found.k or 1)
            numbers = {**sizes, **{GROWING[name]: value for name, value in letters.items()}}
            require_equal(in_numbers(formula_of(small, known, found), numbers), found)


def _bind(strategy: Strategy) -> tuple[Strategy, int]:
    """For the shadow's capacity and target length, or the longest ones that the strategy's own options allow."""
    try:
        return strategy.bind(CAPACITY), TARGET
    except StrategyError:
        for steps in range(TARGET, 0, -1):
            try:
                return strategy.bind(steps), steps
            except StrategyError:
                continue
        raise
