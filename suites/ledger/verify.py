"""Formula against record: the products by formula must equal those of the running model, on shadows and on itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from strategies import Mistake, ModelConfig, Strategy, StrategyError
from strategies.models.costs import CROSS_READ, Product
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.init import randomize
from strategies.models.sources import source_shape

from ..probes.traffic import SELECT
from ..settings.faults import blamed
from ..settings.inputs import Inputs
from ..work.role_names import role_name
from ..work.row_bytes import row_bytes
from ..work.targets import longest_target
from . import expected
from .copies import selected, stored
from .expected import Facts, facts
from .recorded import Recorded, record_decoding, record_training
from .shadow import ANOTHER, SHADOW, Shadow
from .sizes import values
from .symbols import GROWING, Expression, evaluate, text

LONG = 300
"""Target length, beyond the shadows', for which the letters of a strategy must hold too."""


class LedgerError(Mistake):
    """Formula and record differ. The message names product and step."""


def in_numbers(products: Sequence[Product], numbers: dict[Expression, int]) -> list[Product]:
    """Replace each letter by its number. A product without rows or columns is left out, because it does not run."""

    def number(p: Product, size: str) -> int:
        return evaluate(getattr(p, size), numbers)

    found = [
        Product(p.role, number(p, "batch"), number(p, "rows"), number(p, "inner"), number(p, "cols"), p.count)
        for p in products
    ]
    return [product for product in found if product.rows and product.cols]


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


def facts_of(strategy: Strategy, beams: int = 1) -> Facts:
    """Return the facts of a strategy in letters, read where no two letters have the same number.

    A letter that does not hold for a target of up to ``LONG`` tokens too, as where the first length bucket is longer
    than a shadow's target, is none: T and M stand in its place. Raises StrategyError.
    """
    shadow, bound, steps = _bind(strategy)
    known, most = facts(bound, steps, shadow.source, beams), longest_target(strategy, LONG)
    long = facts(strategy.bind(most), most, shadow.source, beams)
    rows, keys = (
        one if one == other else GROWING[letter]
        for one, other, letter in ((known.rows, long.rows, "T"), (known.keys, long.keys, "M"))
    )

    def moved(name: str) -> str:
        one, other = getattr(known, name), getattr(long, name)
        return str(one if one == other else "some")

    def read(name: str) -> str:
        every_key = getattr(known, name) == text(known.keys) and getattr(long, name) == text(long.keys)
        return text(keys) if every_key else moved(name)

    entries = known.entries if known.entries == long.entries else "[BW,some]"
    return dataclasses.replace(
        known, rows=rows, keys=keys, copied=moved("copied"), gathered=read("gathered"), expanded=read("expanded"),
        reordered=moved("reordered"), entries=entries, cross_keys=long.cross_keys,
        cross_observed=long.cross_observed,
    )  # fmt: skip


def formula_of(config: ModelConfig, known: Facts | None, found: Recorded) -> list[Product]:
    """Return the products of a recorded phase by formula, in letters."""
    if known is None:
        return expected.training(config)
    if found.phase == "prefill":
        return [*expected.prefill(config, known), *expected.prefix(config, known)]
    return expected.step(config, known)


def require_stored(found: Recorded, known: Facts, numbers: dict[Expression, int], width: int) -> None:
    """Raise LedgerError unless a layer wrote and moved as many bytes of K and V as the facts say."""
    if found.stored is None:
        return
    said = stored(numbers, width)
    if said != found.stored:
        facts = "rows_fed, rows_copied, rows_expanded or kv_row_bytes"
        facts = facts if known.beams == 1 else f"rows_gathered, {facts}"
        raise LedgerError(
            f"self.append in step {found.k} of {found.strategy}: the facts say {said.input} bytes moved and "
            f"{said.output} written per layer, the running model {found.stored.input} and {found.stored.output}; mend "
            f"{facts}"
        )


def require_selected(
    config: ModelConfig, found: Recorded, known: Facts, numbers: dict[Expression, int], width: int
) -> None:
    """Raise LedgerError unless as many bytes were reordered with the beams, or kept of the source, as declared."""
    if found.phase != "step":
        return
    said = selected(config, known, numbers, width)
    for role in (*SELECT, CROSS_READ):
        if said.get(role, 0) != found.selected.get(role, 0):
            raise LedgerError(
                f"{role_name(role)} in step {found.k} of {found.strategy}: the facts say {said.get(role, 0)} bytes "
                f"{'copied' if role == CROSS_READ else 'reordered'} in all layers, the running model "
                f"{found.selected.get(role, 0)}; mend "
                f"{'cross_keys_read' if role == CROSS_READ else 'rows_reordered, entries_reordered'} or the formula"
            )


def numbers_at(
    bound: Strategy, k: int | None, model: EncoderDecoder, src_len: int, beams: int
) -> dict[Expression, int]:
    """Numbers of the letters of a strategy that runs on this model, at step k, or in prefill for None."""
    of_row = row_bytes(model.config, bound, model.embedding.weight.dtype)
    return expected.numbers(bound, k, src_len, of_row, beams, model.config.prefix_len)


def check_shadow(config: ModelConfig, strategies: Sequence[Strategy], beams: int = 1) -> None:
    """Record training and one step of every strategy on a shadow, with several beams if ``beams`` are several.

    Raises LedgerError if formula and record differ.
    """
    models = {shadow: randomize(EncoderDecoder(shadow.config(config)), 0).eval() for shadow in (SHADOW, ANOTHER)}
    for shadow, model in models.items():
        inputs, token_BN, sizes = _case(shadow, model.config, 1)
        require_equal(in_numbers(expected.training(model.config), sizes), record_training(model, inputs, token_BN))
    for strategy in strategies:
        with blamed(strategy.label):
            shadow, bound, steps = _bind(strategy)
            model = models[shadow]
            width = shadow.beams if beams > 1 else 1
            inputs, token_XN, sizes = _case(shadow, model.config, width)
            known = facts_of(strategy, beams)
            step = min(shadow.step, steps - (steps == known.capacity and steps > 1))
            free = token_XN[:, : steps - model.config.prefix_len + 1]
            for found in record_decoding(model, bound, inputs, free, {step}, beams=width):
                numbers = {**sizes, **numbers_at(bound, found.k, model, shadow.source, beams)}
                require_equal(in_numbers(formula_of(model.config, known, found), numbers), found)
                require_stored(found, known, numbers, width=4)
                require_selected(model.config, found, known, numbers, width=4)


def _case(shadow: Shadow, config: ModelConfig, beams: int) -> tuple[Inputs, Tensor, dict[Expression, int]]:
    """Random sources, random targets, int64 [B * W, N], and the numbers of the letters of a shadow."""
    generator = torch.Generator().manual_seed(0)
    shape = source_shape(config, shadow.batch, shadow.source)
    if config.mel_bins is None:
        source = torch.randint(2, config.source_vocabulary, shape, generator=generator)
    else:
        source = torch.randn(shape, generator=generator)
    token_XN = torch.randint(2, config.vocab_size, (shadow.batch * beams, shadow.target), generator=generator)
    sizes = values(config, beams, B=shadow.batch, S=shadow.source, N=shadow.target)
    return Inputs(source, None, (shadow.source,) * shadow.batch), token_XN, sizes


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
