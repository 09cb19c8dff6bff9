"""What a strategy must compute and move in one cell, by the model's closed formulas and the strategy's facts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from strategies import DTYPES, ModelConfig, Strategy
from strategies.models import costs

from .cells import Cell
from .records import RoleSums

BYTE_IN_FLOPS = 10
"""FLOPs that take as long as moving a byte, roughly, on the machines at hand: only used to predict time left."""


@dataclass(frozen=True)
class Formulas:
    """Of one strategy in one cell; a list has one entry a step, k = 1 .. N. FLOPs and bytes."""

    prefill_flops: int
    prefill_bytes: int
    step_flops: list[int]
    weight_bytes: list[int]
    self_kv_bytes: list[int]
    cross_kv_bytes: list[int]
    copy_bytes: list[int]
    kv_reserved_bytes: int
    kv_used_bytes: int

    @property
    def executed_flops(self) -> int:
        """Prefill and every step."""
        return self.prefill_flops + sum(self.step_flops)

    @property
    def moved_bytes(self) -> int:
        """Over all steps, prefill apart."""
        parts = self.weight_bytes, self.self_kv_bytes, self.cross_kv_bytes, self.copy_bytes
        return sum(map(sum, parts))

    @property
    def work(self) -> int:
        """Predicted cost of a round, in FLOPs and bytes counted as FLOPs."""
        return self.executed_flops + BYTE_IN_FLOPS * self.moved_bytes


def formulas(config: ModelConfig, cell: Cell, strategy: Strategy) -> Formulas:
    """Evaluate for ``tgt_len`` steps. Raises StrategyError if the strategy cannot be bound to that length."""
    bound = strategy.bind(cell.tgt_len)
    batch, width = cell.batch_size, DTYPES[cell.dtype].itemsize
    steps = range(1, cell.tgt_len + 1)
    moved = [sum(_bytes(config, cell, bound, k).values(), costs.StepBytes()) for k in steps]
    cross = costs.kv_bytes(config, batch, cell.src_len, width) if bound.cross == "cached" else 0
    last = cell.tgt_len
    return Formulas(
        prefill_flops=costs.flops(_prefill(config, cell, bound)),
        prefill_bytes=_prefill_bytes(config, cell, bound),
        step_flops=[costs.flops(_step(config, cell, bound, k)) for k in steps],
        weight_bytes=[step.weights for step in moved],
        self_kv_bytes=[step.self_kv for step in moved],
        cross_kv_bytes=[step.cross_kv for step in moved],
        copy_bytes=[step.copies for step in moved],
        kv_reserved_bytes=costs.kv_bytes(config, batch, bound.rows_reserved(last), width) + cross,
        kv_used_bytes=costs.kv_bytes(config, batch, bound.rows_used(last), width) + cross,
    )


def necessary(config: ModelConfig, cell: Cell, weight_bytes: int | None = None) -> Formulas:
    """Of any exact incremental decoder in this cell: one row a step, k keys, cross K/V once, nothing copied.

    ``weight_bytes``: of an element of its weights, where they differ from the cell's type. A cell's narrower weights
    are this project's alone.
    """
    found = formulas(config, cell, Strategy())
    if weight_bytes is None and not cell.weights:
        return found
    weight_bytes = weight_bytes or DTYPES[cell.dtype].itemsize
    ours = cell.weight_width
    cross = costs.kv_bytes(config, cell.batch_size, cell.src_len, DTYPES[cell.dtype].itemsize)
    return replace(
        found,
        prefill_bytes=(found.prefill_bytes - cross) * weight_bytes // ours + cross,
        weight_bytes=[step * weight_bytes // ours for step in found.weight_bytes],
    )


def role_sums(config: ModelConfig, cell: Cell, strategy: Strategy, steps: int) -> RoleSums:
    """Sums by role, over prefill and over the first ``steps`` decode steps: prefill_flops, decode_flops, decode_bytes.

    Over all roles they are what ``formulas`` gives for as many steps. Raises StrategyError as that does.
    """
    bound = strategy.bind(cell.tgt_len)
    flops: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    for k in range(1, steps + 1):
        flops.update(costs.role_flops(_step(config, cell, bound, k)))
        moved.update({role: part.total for role, part in _bytes(config, cell, bound, k).items()})
    prefill = costs.role_flops(_prefill(config, cell, bound))
    return {"prefill_flops": dict(prefill), "decode_flops": dict(flops), "decode_bytes": dict(moved)}


def _prefill(config: ModelConfig, cell: Cell, bound: Strategy) -> list[costs.Product]:
    """The encoder, and cross K/V if cached."""
    once = costs.cross_projection(config, cell.batch_size, cell.src_len) if bound.cross == "cached" else []
    return costs.encoder(config, cell.batch_size, cell.src_len) + once


def _prefill_bytes(config: ModelConfig, cell: Cell, bound: Strategy) -> int:
    """Weights of the prefill's products, read once, and the cross K/V that it writes if they are cached."""
    width = DTYPES[cell.dtype].itemsize
    weights = sum(
        p.inner * p.cols * p.count * ((p.role.endswith("ffn.wo") and _ffn_out_width(config, cell)) or cell.weight_width)
        for p in _prefill(config, cell, bound)
        if not p.is_attention
    )
    return weights + (costs.kv_bytes(config, cell.batch_size, cell.src_len, width) if bound.cross == "cached" else 0)


def _ffn_out_width(config: ModelConfig, cell: Cell) -> int | None:
    """Bytes of an element of the feed-forward's second matrix where they differ from the cell's type."""
    return 4 if cell.dtype == "fp16" and config.is_t5 else None


def _step(config: ModelConfig, cell: Cell, bound: Strategy, k: int) -> list[costs.Product]:
    """Products of the step that attends k keys."""
    batch, src_len = cell.batch_size, cell.src_len
    each = costs.cross_projection(config, batch, src_len) if bound.cross == "recompute" else []
    return costs.decoder(config, batch, src_len, bound.rows_fed(k), bound.keys_read(k)) + each


def _bytes(config: ModelConfig, cell: Cell, bound: Strategy, k: int) -> dict[str, costs.StepBytes]:
    """Bytes by role of the step that attends k keys."""
    width = DTYPES[cell.dtype].itemsize
    found = costs.role_bytes(
        config,
        cell.batch_size,
        cell.src_len,
        rows=bound.rows_fed(k),
        keys=bound.keys_read(k),
        copied=bound.rows_copied(k),
        cross_recomputed=bound.cross == "recompute",
        width=DTYPES[cell.dtype].itemsize,
        ffn_out_width=_ffn_out_width(config, cell),
    )
    if not cell.weights:
        return found
    return {role: replace(part, weights=part.weights * cell.weight_width // width) for role, part in found.items()}
