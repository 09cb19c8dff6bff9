"""The matrix products by formula, in letters: those of training, and those of each strategy's prefill and steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sympy

from strategies import ModelConfig, Strategy
from strategies.facts import CrossBeams
from strategies.models import costs
from strategies.models.costs import Product

from ..work.steps import Facts as StepFacts
from ..work.steps import facts_at, prefix_facts
from .sizes import Sizes
from .symbols import COPIED, GROWING, SIZES, Expression, text

Phase = Literal["training", "prefill", "step"]
TRAINING = "training"
"""Label of training in place of a strategy's: all target rows at once, under a causal mask."""


@dataclass(frozen=True)
class Facts:
    """Facts of one bound strategy in letters, as they hold at every step k.

    ``rows``: rows fed. ``keys``: keys read. ``copied``: rows moved ("" for none, "k-1", or "some"). ``capacity``: rows
    reserved, None if they change with k. ``cross_cached``: whether cross-attention K/V are cached. ``expanded``: rows
    that are made anew to be read, as ``copied``. ``cross_keys``: keys of the source that are read, S or R.
    ``cross_observed``: those whose scores are computed once more, O or 0.

    ``beams`` is W, or 1 if a sentence has one sequence. The others are for beams alone. ``cross_beams``: what the beams
    of a sentence keep of its source. ``gathered``: rows that the step gathers to read them, as ``copied``.
    ``reordered``: rows that are copied before the step as the beams are reordered, as ``copied``. ``entries``: the
    shape of the entries of an index table that are copied then, "" for none.
    """

    rows: Expression
    keys: Expression
    copied: str
    capacity: int | None
    cross_cached: bool
    expanded: str = ""
    cross_keys: Expression = GROWING["S"]
    cross_observed: Expression | int = 0
    beams: Expression | int = 1
    cross_beams: CrossBeams = "shared"
    gathered: str = ""
    reordered: str = ""
    entries: str = ""

    @property
    def cross_shared(self) -> bool:
        """Whether the beams of a sentence read the same cross-attention K and V."""
        return self.beams == 1 or self.cross_beams == "shared"

    @property
    def sources(self) -> Expression:
        """Sequences of which something is kept of the source: B, or B * W if each beam has its own."""
        return SIZES["B"] if self.cross_shared else SIZES["B"] * self.beams


def facts(bound: Strategy, steps: int, src_len: int, beams: int = 1) -> Facts:
    """Read the facts of ``bound`` at k = 1 .. ``steps`` as letters: 1, k, the capacity C, a number, or T and M.

    Those of sources are read with S = ``src_len``.
    """
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

    read = [bound.keys_read(k) for k in every_k]
    found = Facts(
        rows=named([bound.rows_fed(k) for k in every_k], "T"),
        keys=named(read, "M"),
        copied=_moved([bound.rows_copied(k) for k in every_k], {"k-1": [k - 1 for k in every_k]}),
        capacity=capacity or None,
        cross_cached=bound.cross == "cached",
    )
    expanded = _moved([bound.rows_expanded(k) for k in every_k], {text(found.keys): read, "k": list(every_k)})
    found = dataclasses.replace(
        found,
        expanded=expanded,
        cross_keys=GROWING["S" if all(bound.cross_keys_read(k, src_len) == src_len for k in every_k) else "R"],
        cross_observed=GROWING["O"] if any(bound.cross_keys_observed(k, src_len) for k in every_k) else 0,
    )
    if beams == 1:
        return found
    # Beams are reordered between two steps, which counts to the later one.
    before = every_k[:-1]
    return dataclasses.replace(
        found,
        beams=SIZES["W"],
        cross_beams=bound.cross_beams,
        gathered=_moved([bound.rows_gathered(k) for k in every_k], {text(found.keys): read}),
        reordered=_moved([bound.rows_reordered(k) for k in before], {"k-1": list(before)}),
        entries=_table([bound.entries_reordered(k) for k in before]),
    )


def _moved(values: Sequence[int], names: Mapping[str, Sequence[int]]) -> str:
    """Name the rows that each of some steps moves: "" for none, the first name with these numbers, or "some"."""
    if not any(values):
        return ""
    return next((name for name, numbers in names.items() if list(values) == list(numbers)), "some")


def _table(values: Sequence[int]) -> str:
    """Write the shape of the entries that are copied per sequence before steps 2, 3, ...: ``2 x [BW,k-1]``."""
    if not any(values):
        return ""
    times = values[0]
    if not times or any(value != times * k for k, value in enumerate(values, 1)):
        return "[BW,some]"
    return f"{times} x [BW,k-1]" if times > 1 else "[BW,k-1]"


def numbers(
    bound: Strategy, k: int | None, src_len: int, row_bytes: int, beams: int = 1, prefix_len: int = 1
) -> dict[Expression, int]:
    """Numbers of the letters that depend on the step and the strategy, at step k, or in prefill for None.

    ``row_bytes`` are those in which a row of K and one of V of the strategy persist together. A sentence begins with P
    = ``prefix_len`` forced tokens.
    """
    if k is None:
        found, k = prefix_facts(bound, prefix_len, src_len) or _NOTHING, 1
    else:
        found = facts_at(bound, k, src_len, beams, prefix_len)
    gathered = bound.rows_gathered(k) if beams > 1 else 0
    at = {
        "k": k, "T": found.rows, "M": found.keys, "C": bound.rows_reserved(k), "R": found.cross_keys,
        "O": found.cross_observed,
    }  # fmt: skip
    copied = {
        "moved": found.copied, "gathered": gathered, "expanded": found.expanded, "reordered": found.reordered,
        "entries": found.entries, "source_kept": found.cross_copied, "source_reordered": found.source_reordered,
        "row_bytes": row_bytes,
    }  # fmt: skip
    return {
        **{GROWING[name]: number for name, number in at.items()},
        **{COPIED[name]: number for name, number in copied.items()},
    }


_NOTHING = StepFacts(0, 0, 0, 0, 0, 0, 0)


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
    """Products that run once per sentence, before the first step, but those of a prefix."""
    batch, source = SIZES["B"], GROWING["S"]
    sizes = Sizes(config).as_config()
    once = costs.cross_projection(sizes, batch, source) if known.cross_cached else []
    return [*costs.encoder(sizes, batch, source), *once]


def prefix(config: ModelConfig, known: Facts) -> list[Product]:
    """Products of the pass in which prefill feeds the rows of a prefix that the first step does not.

    There is none for a prefix of one token, nor for a strategy that feeds all rows at each step.
    """
    before = SIZES["P"] - 1
    if config.prefix_len == 1 or known.rows == GROWING["k"]:
        return []
    rows = before if known.rows == 1 else GROWING["T"]
    keys = {GROWING["k"]: before, GROWING["C"]: GROWING["C"]}.get(known.keys, GROWING["M"])
    fed = dataclasses.replace(known, rows=rows, keys=keys, cross_keys=GROWING["S"])
    return step(config, fed, logit_rows=0)


def step(config: ModelConfig, known: Facts, logit_rows: int = 1) -> list[Product]:
    """Products of the step that attends k keys."""
    batch, source, beams = SIZES["B"], GROWING["S"], known.beams
    sizes = Sizes(config).as_config()
    again = [] if known.cross_cached else costs.cross_projection(sizes, known.sources, source)
    fed = costs.decoder(
        sizes, batch, known.cross_keys, known.rows, known.keys, logit_rows, beams, cross_shared=known.cross_shared,
        cross_observed=known.cross_observed,
    )  # fmt: skip
    return [*fed, *again]
