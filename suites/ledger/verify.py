"""Formula against record: the products by formula must equal the recorded ones, on a shadow and on the model itself.

A shadow is a model of the same architecture whose sizes are primes, so that no two letters have the same number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategies import Mistake, ModelConfig, Strategy, StrategyError
from strategies.models.costs import Product
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.init import randomize

from ..settings.faults import blamed
from ..settings.inputs import Inputs
from ..work.targets import longest_target
from . import expected
from .expected import Facts, facts
from .recorded import Recorded, record_decoding, record_training
from .symbols import GROWING, Expression, evaluate, values

GROUP = 4
"""Query heads of a shadow that share a head of K and V if its model shares them. No other size is 4, nor 4 + 2."""


@dataclass(frozen=True)
class Shadow:
    """Sizes of a shadow, no two equal. All are primes, except that D is twice a prime where sinusoids come in pairs."""

    batch: int
    source: int
    target: int
    step: int
    capacity: int
    heads: int
    head_size: int
    half_width: int
    feed_forward: int
    vocabulary: int

    def config(self, config: ModelConfig) -> ModelConfig:
        """Return the configuration in these sizes; several query heads share K and V if they do in ``config``."""
        shared = config.group > 1
        return dataclasses.replace(
            config,
            vocab_size=self.vocabulary,
            d_model=self.half_width * (1 if config.is_t5 else 2),
            num_heads=self.heads * (GROUP if shared else 1),
            num_kv_heads=self.heads if shared else None,
            d_kv=self.head_size,
            d_ff=self.feed_forward,
            encoder_layers=2,
            decoder_layers=3,
        )

    def shares(self, capacity: int) -> bool:
        """Whether the fixed capacity of a strategy could be mistaken for another of these sizes."""
        sizes = {value for name, value in dataclasses.asdict(self).items() if name != "capacity"}
        return bool(sizes & {capacity, capacity // 2 if capacity % 2 == 0 else 0})


SHADOW = Shadow(5, 17, 23, 11, 29, 7, 13, 19, 43, 101)
ANOTHER = Shadow(5, 61, 37, 31, 41, 7, 53, 47, 67, 103)
"""Second shadow, for a strategy whose own capacity is a size of the first."""
LONG = 300
"""Target length, beyond the shadows', for which the letters of a strategy must hold too."""


class LedgerError(Mistake):
    """Formula and record differ. The message names product and step."""


def in_numbers(products: Sequence[Product], numbers: dict[Expression, int]) -> list[Product]:
    """Replace each letter by its number."""

    def number(p: Product, size: str) -> int:
        return evaluate(getattr(p, size), numbers)

    return [
        Product(p.role, number(p, "batch"), number(p, "rows"), number(p, "inner"), number(p, "cols"), p.count)
        for p in products
    ]


def require_equal(formula: Sequence[Product], found: Recorded) -> None:
    """Raise LedgerError if formula and record differ, naming the first product that differs or is in one alone."""
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
    """Return the facts of a strategy in letters, read where no two letters have the same number.

    A letter that does not hold for a target of up to ``LONG`` tokens too, as where the first length bucket is longer
    than a shadow's target, is none: T and M stand in its place. Raises StrategyError.
    """
    _, bound, steps = _bind(strategy)
    known, most = facts(bound, steps), longest_target(strategy, LONG)
    long = facts(strategy.bind(most), most)
    rows, keys = (
        one if one == other else GROWING[letter]
        for one, other, letter in ((known.rows, long.rows, "T"), (known.keys, long.keys, "M"))
    )
    copied = known.copied if known.copied == long.copied else "some"
    return dataclasses.replace(known, rows=rows, keys=keys, copied=copied)


def formula_of(config: ModelConfig, known: Facts | None, found: Recorded) -> list[Product]:
    """Return the products of a recorded phase by formula, in letters."""
    if known is None:
        return expected.training(config)
    return (expected.prefill if found.phase == "prefill" else expected.step)(config, known)


def require_stored(found: Recorded, known: Facts, numbers: dict[Expression, int], width: int) -> None:
    """Raise LedgerError unless a layer wrote and moved as many bytes of K and V as the facts say."""
    if found.stored is None:
        return
    name = {str(letter): number for letter, number in numbers.items()}
    row_bytes = 2 * name["B"] * name.get("G", name["H"]) * name["d"] * width
    moved, written = name["moved"] * row_bytes, (name["T"] + name["moved"]) * row_bytes
    if (found.stored.input, found.stored.output) != (moved, written):
        raise LedgerError(
            f"self.append in step {found.k} of {found.strategy}: the facts say {moved} bytes moved and {written} "
            f"written per layer, the running model {found.stored.input} and {found.stored.output}; mend rows_fed or "
            "rows_copied"
        )


def check_shadow(config: ModelConfig, strategies: Sequence[Strategy]) -> None:
    """Record training and one step of every strategy on a shadow. Raises LedgerError if formula and record differ."""
    models = {shadow: randomize(EncoderDecoder(shadow.config(config)), 0).eval() for shadow in (SHADOW, ANOTHER)}
    for shadow, model in models.items():
        inputs, token_BN, sizes = _case(shadow, model.config)
        require_equal(in_numbers(expected.training(model.config), sizes), record_training(model, inputs, token_BN))
    for strategy in strategies:
        with blamed(strategy.label):
            shadow, bound, steps = _bind(strategy)
            model = models[shadow]
            inputs, token_BN, sizes = _case(shadow, model.config)
            known = facts_of(strategy)
            step = min(shadow.step, steps - (steps == known.capacity and steps > 1))
            for found in record_decoding(model, bound, inputs, token_BN[:, :steps], {step}):
                numbers = {**sizes, **expected.numbers(bound, found.k or 1)}
                require_equal(in_numbers(formula_of(model.config, known, found), numbers), found)
                require_stored(found, known, numbers, width=4)


def _case(shadow: Shadow, config: ModelConfig) -> tuple[Inputs, Tensor, dict[Expression, int]]:
    """Random sources, random targets, int64 [B, N], and the numbers of the letters of a shadow."""
    generator = torch.Generator().manual_seed(0)
    src_BS = torch.randint(2, config.vocab_size, (shadow.batch, shadow.source), generator=generator)
    token_BN = torch.randint(2, config.vocab_size, (shadow.batch, shadow.target), generator=generator)
    sizes = values(config, B=shadow.batch, S=shadow.source, N=shadow.target)
    return Inputs(src_BS, None, (shadow.source,) * shadow.batch), token_BN, sizes


def _bind(strategy: Strategy) -> tuple[Shadow, Strategy, int]:
    """(a shadow, the strategy bound to a capacity, its number of steps).

    The capacity is that of the shadow, or the most that the strategy's own options allow.
    """
    for shadow in (SHADOW, ANOTHER):
        for capacity in (shadow.capacity, *range(shadow.target, 0, -1)):
            try:
                bound = strategy.bind(capacity)
            except StrategyError:
                continue
            if not shadow.shares(bound.rows_reserved(1)) or shadow is ANOTHER:
                return shadow, bound, min(capacity, shadow.target)
            break
    raise StrategyError(f"{strategy.label} cannot be bound to any target length")
