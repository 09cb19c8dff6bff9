"""The matrix products by formula, in letters: those of training, and those of each strategy's prefill and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sympy

from strategies import ModelConfig, Strategy
from strategies.models import costs
from strategies.models.costs import Product

from .symbols import GROWING, MOVED, SIZES, Expression, Sizes

Phase = Literal["training", "prefill", "step"]
TRAINING = "training"
"""Label of training in place of a strategy's: all target rows at once, under a causal mask."""


@dataclass(frozen=True)
class Facts:
    """Facts of one bound strategy in letters, as they hold at every step k.

    ``rows``: rows fed. ``keys``: keys read. ``copied``: rows moved ("" for none, "k-1", or "some"). ``capacity``: rows
    reserved, None if they change with k. ``cross_cached``: whether cross-attention K/V are cached.
    """

    rows: Expression
    keys: Expression
    copied: str
    capacity: int | None
    cross_cached: bool


def facts(bound: Strategy, steps: int) -> Facts:
    """Read the facts of ``bound`` at k = 1 .. ``steps`` as letters: 1, k, the capacity C, a number, or T and M."""
    every_k = range(1, steps + 1)
    reserved = {bound.rows_reserved(k) for k in every_k}
    capacity = reserved.pop() if len(reserved) == 1 else None

    def named(values: Sequence[int], other: str) -> Expression:
        if set(values) == {1}:
            return sympy.Integer(1)
        if list(values) == list(every_k):
            return GROWING["k"]
        if set(values) == {capacity}:
            return GROWING["C"]
        return sympy.Integer(values[0]) if len(set(values)) == 1 else GROWING[other]

    copied = [bound.rows_copied(k) for k in every_k]
    return Facts(
        rows=named([bound.rows_fed(k) for k in every_k], "T"),
        keys=named([bound.keys_read(k) for k in every_k], "M"),
        copied="" if not any(copied) else "k-1" if copied == [k - 1 for k in every_k] else "some",
        capacity=capacity or None,
        cross_cached=bound.cross == "cached",
    )


def numbers(bound: Strategy, k: int) -> dict[Expression, int]:
    """Numbers of the letters that depend on the step and the strategy, at step k."""
    at = {"k": k, "T": bound.rows_fed(k), "M": bound.keys_read(k), "C": bound.rows_reserved(k)}
    return {**{GROWING[name]: number for name, number in at.items()}, MOVED: bound.rows_copied(k)}


def training(config: ModelConfig) -> list[Product]:
    """Products of the teacher-forced pass over N target rows."""
    batch, source, target = SIZES["B"], GROWING["S"], GROWING["N"]
    sizes = Sizes(config).as_config()
    return [
        *costs.encoder(sizes, batch, source),
        *costs.cross_projection(sizes, batch, source),
        *costs.decoder(sizes, batch, source, target, target, logit_rows=target),
    ]


def prefill(config: ModelConfig, known: Facts) -> list[Product]:
    """Products that run once per sentence, before the first step."""
    batch, source = SIZES["B"], GROWING["S"]
    sizes = Sizes(config).as_config()
    once = costs.cross_projection(sizes, batch, source) if known.cross_cached else []
    return [*costs.encoder(sizes, batch, source), *once]


def step(config: ModelConfig, known: Facts) -> list[Product]:
    """Products of the step that attends k keys."""
    batch, source = SIZES["B"], GROWING["S"]
    sizes = Sizes(config).as_config()
    again = [] if known.cross_cached else costs.cross_projection(sizes, batch, source)
    return [*costs.decoder(sizes, batch, source, known.rows, known.keys), *again]
