"""FLOPs and bytes of a strategy in one cell, by the model's closed formulas and the strategy's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

from strategies import DTYPES, ModelConfig, Strategy
from strategies.models import costs, traffic

from ..settings.cells import Cell
from ..store.records import RoleSums
from .row_bytes import row_bytes
from .steps import Facts, Linear, Sums, estimated_sum, facts_at, linear, prefix_facts, sum_over_steps

BYTE_IN_FLOPS = 10
"""FLOPs that take roughly as long as moving one byte on common machines; used only to predict the time left."""


@dataclass(frozen=True)
class Formulas:
    """FLOPs and bytes of one strategy in one cell; a list has one entry per step k = 1 .. N."""

    prefill_flops: int
    prefill_bytes: int
    step_flops: list[int]
    weight_bytes: list[int]
    self_kv_bytes: list[int]
    cross_kv_bytes: list[int]
    copy_bytes: list[int]
    kv_reserved_bytes: int
    kv_used_bytes: int


@dataclass(frozen=True)
class Widths:
    """Bytes per element: ``element`` of the cell's type, ``weight`` of narrower weights, None where there are none."""

    element: traffic.ElementBytes
    weight: int | None


@dataclass(frozen=True)
class Totals:
    """Work of one round of a strategy in one cell: FLOPs of prefill and all steps, and bytes that all steps move."""

    executed_flops: int
    moved_bytes: int

    @property
    def work(self) -> int:
        """Predicted cost of a round in FLOPs, where a byte counts as ``BYTE_IN_FLOPS`` FLOPs."""
        return self.executed_flops + BYTE_IN_FLOPS * self.moved_bytes


def totals(config: ModelConfig, cell: Cell, strategy: Strategy) -> Totals:
    """Sum up ``formulas`` in a time that does not grow with the target length. Raises StrategyError as that does.

    It is exact where ``estimated_sum`` is.
    """
    bound, last = _bound(config, cell, strategy)
    sums = estimated_sum(bound, last, cell.src_len, cell.beams, config.prefix_len)
    step = sum(cost(sums) for cost in _step_flops(config, cell, bound).values())
    moved = sum(cost(sums) for cost in _step_bytes(config, cell, bound).values())
    return Totals(costs.flops(_prefill(config, cell, bound)) + step, moved)


def formulas(config: ModelConfig, cell: Cell, strategy: Strategy) -> Formulas:
    """Evaluate the formulas for ``tgt_len`` steps. Raises StrategyError if the strategy cannot be bound to so many."""
    (bound, last), first = _bound(config, cell, strategy), config.prefix_len
    steps = [Sums.of(facts_at(bound, k, cell.src_len, cell.beams, first)) for k in range(first, last + 1)]
    flops = list(_step_flops(config, cell, bound).values())
    shape, widths = _shape(config, cell, bound), _widths(config, cell)
    moved = linear(lambda facts: asdict(sum(_bytes(config, shape, widths, facts).values(), traffic.StepBytes())))
    reserved, used = kv_bytes(config, cell, bound)
    return Formulas(
        prefill_flops=costs.flops(_prefill(config, cell, bound)),
        prefill_bytes=_prefill_bytes(config, cell, bound),
        step_flops=[sum(cost(step) for cost in flops) for step in steps],
        weight_bytes=[moved["weights"](step) for step in steps],
        self_kv_bytes=[moved["self_kv"](step) for step in steps],
        cross_kv_bytes=[moved["cross_kv"](step) for step in steps],
        copy_bytes=[moved["copies"](step) for step in steps],
        kv_reserved_bytes=reserved,
        kv_used_bytes=used,
    )


def _bound(config: ModelConfig, cell: Cell, strategy: Strategy) -> tuple[Strategy, int]:
    """(the strategy for the cell's targets, the k of the last step)."""
    last = config.target_rows(cell.tgt_len)
    return strategy.bind(last), last


def kv_bytes(config: ModelConfig, cell: Cell, bound: Strategy) -> tuple[int, int]:
    """Bytes of K/V (reserved, used) after the last step: of self-attention, of cross-attention, and of index tables."""
    last, sequences = config.target_rows(cell.tgt_len), cell.batch_size * cell.beams
    of_row = row_bytes(config, bound, DTYPES[cell.dtype])
    copies, read = cell.batch_size * bound.source_copies(cell.beams), bound.cross_keys_read(last, cell.src_len)
    same = traffic.ENTRY * sequences * bound.table_entries(last)
    if bound.cross == "cached":
        same += traffic.kv_bytes(config, copies, read, DTYPES[cell.dtype].itemsize)
    reserved, entries = bound.rows_reserved(last), 0
    if cell.beams > 1:
        reserved, entries = reserved + bound.rows_spare(last), bound.entries_reserved(last)
    return (
        traffic.stored_bytes(config, sequences, reserved, of_row) + same + traffic.ENTRY * sequences * entries,
        traffic.stored_bytes(config, sequences, bound.rows_used(last), of_row)
        + same
        + traffic.ENTRY * sequences * min(last, entries),
    )


def role_sums(config: ModelConfig, cell: Cell, strategy: Strategy, steps: int) -> RoleSums:
    """Sum FLOPs and bytes by role, over prefill and over the first ``steps`` decode steps.

    Summed over all roles too, they are what ``formulas`` gives for that many steps. Raises StrategyError as that does.
    """
    (bound, _), first = _bound(config, cell, strategy), config.prefix_len
    sums = sum_over_steps(bound, first - 1 + steps, cell.src_len, cell.beams, first)
    return {
        "prefill_flops": costs.role_flops(_prefill(config, cell, bound)),
        "decode_flops": _by_role(_step_flops(config, cell, bound), sums),
        "decode_bytes": _by_role(_step_bytes(config, cell, bound), sums),
    }


def _by_role(cost: Mapping[str, Linear], sums: Sums) -> dict[str, int]:
    """Costs by role, without the roles of what most strategies never do with the source."""
    found = {role: of_role(sums) for role, of_role in cost.items()}
    return {role: number for role, number in found.items() if number or not role.startswith(costs.CROSS_READ)}


def _step_flops(config: ModelConfig, cell: Cell, bound: Strategy) -> Mapping[str, Linear]:
    """FLOPs per step, by role."""
    return _flops_of(config, _shape(config, cell, bound))


def _step_bytes(config: ModelConfig, cell: Cell, bound: Strategy) -> Mapping[str, Linear]:
    """Bytes per step, by role."""
    return _bytes_of(config, _shape(config, cell, bound), _widths(config, cell))


@lru_cache(maxsize=32)  # the strategies of a cell share them
def _flops_of(config: ModelConfig, shape: costs.StepShape) -> Mapping[str, Linear]:
    return linear(lambda facts: costs.role_flops(costs.step(config, _step_of(shape, facts))))


@lru_cache(maxsize=32)
def _bytes_of(config: ModelConfig, shape: costs.StepShape, widths: Widths) -> Mapping[str, Linear]:
    return linear(lambda facts: {role: part.total for role, part in _bytes(config, shape, widths, facts).items()})


def _prefill(config: ModelConfig, cell: Cell, bound: Strategy) -> list[costs.Product]:
    """Matrix products of prefill: the encoder's, those of cross K/V where they are cached, and those of a prefix."""
    return _of_source(config, cell, bound) + _of_prefix(config, cell, bound)


def _of_source(config: ModelConfig, cell: Cell, bound: Strategy) -> list[costs.Product]:
    once = costs.cross_projection(config, cell.batch_size, cell.src_len) if bound.cross == "cached" else []
    return costs.encoder(config, cell.batch_size, cell.src_len) + once


def _of_prefix(config: ModelConfig, cell: Cell, bound: Strategy) -> list[costs.Product]:
    facts = prefix_facts(bound, config.prefix_len, cell.src_len)
    return costs.prefix(config, _step_of(_shape(config, cell, bound), facts)) if facts else []


def _prefill_bytes(config: ModelConfig, cell: Cell, bound: Strategy) -> int:
    """Bytes of prefill: the weights of its products, read once, and the cross K/V that it writes where cached.

    What each beam has of its own is read once, per sentence, and written for each beam. A pass over a prefix moves
    what a step of as many rows moves.
    """
    width = DTYPES[cell.dtype].itemsize
    weights = traffic.ElementBytes(cell.weight_width, _widths(config, cell).element.ffn_out)
    read = sum(
        p.inner * p.cols * p.count * weights.of_weight(p.role)
        for p in _of_source(config, cell, bound)
        if not p.is_attention
    )
    if facts := prefix_facts(bound, config.prefix_len, cell.src_len):
        fed = _bytes(config, _shape(config, cell, bound), _widths(config, cell), facts)
        read += sum(part.total for role, part in fed.items() if role != "lm_head")
    kept = traffic.kv_bytes(config, cell.batch_size, cell.src_len, width) if bound.cross == "cached" else 0
    copies = bound.source_copies(cell.beams)
    if copies == 1:
        return read + kept
    repeated = kept or cell.batch_size * cell.src_len * config.d_model * width
    return read + kept + (1 + copies) * repeated


def _widths(config: ModelConfig, cell: Cell) -> Widths:
    """Bytes per element in the cell's type. In fp16, T5 keeps the feed-forward's second matrix in fp32."""
    element = traffic.ElementBytes(
        DTYPES[cell.dtype].itemsize, 4 if cell.dtype == "fp16" and config.ffn_out_fp32 else None
    )
    return Widths(element, cell.weight_width if cell.weights else None)


def _shape(config: ModelConfig, cell: Cell, bound: Strategy) -> costs.StepShape:
    """Shape of a step as far as it is the same for every step: without its ``Facts``."""
    return costs.StepShape(
        cell.batch_size,
        cell.src_len,
        rows=0,
        keys=0,
        cross_recomputed=bound.cross == "recompute",
        beams=cell.beams,
        cross_shared=bound.source_copies(cell.beams) == 1,
        row_bytes=row_bytes(config, bound, DTYPES[cell.dtype]),
    )


def _step_of(shape: costs.StepShape, facts: Facts) -> costs.StepShape:
    """Shape of the step with these facts."""
    return replace(shape, **facts._asdict())


def _bytes(config: ModelConfig, shape: costs.StepShape, widths: Widths, facts: Facts) -> dict[str, traffic.StepBytes]:
    """Bytes, by role, of the step with these facts."""
    found = traffic.role_bytes(config, _step_of(shape, facts), widths.element)
    if widths.weight is None:
        return found
    return {
        role: replace(part, weights=part.weights * widths.weight // widths.element.usual)
        for role, part in found.items()
    }
