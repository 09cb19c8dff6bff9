"""What the conformance kits share: a step's sizes by a strategy's facts, and what its stores then hold."""

from __future__ import annotations

import torch

from strategies import ModelConfig, Strategy
from strategies.models import costs, traffic
from suites.work.row_bytes import row_bytes
from suites.work.steps import facts_at


def step_shape(
    config: ModelConfig, bound: Strategy, k: int, batch: int, src_len: int, beams: int = 1, dtype=torch.float32
) -> costs.StepShape:
    """The sizes of step k."""
    return costs.StepShape(
        batch,
        src_len,
        **facts_at(bound, k, src_len, beams)._asdict(),
        cross_recomputed=bound.cross == "recompute",
        beams=beams,
        cross_shared=bound.source_copies(beams) == 1,
        row_bytes=row_bytes(config, bound, dtype),
    )


def self_bytes(config: ModelConfig, bound: Strategy, k: int, batch: int, beams: int = 1) -> tuple[int, int]:
    """Bytes (reserved, used) of self-attention K/V and its tables after step k, in float32."""
    sequences, of_row = batch * beams, row_bytes(config, bound, torch.float32)
    reserved, entries = bound.rows_reserved(k), 0
    if beams > 1:
        reserved, entries = reserved + bound.rows_spare(k), bound.entries_reserved(k)
    table = traffic.ENTRY * sequences * bound.table_entries(k)
    return (
        traffic.stored_bytes(config, sequences, reserved, of_row) + table + traffic.ENTRY * sequences * entries,
        traffic.stored_bytes(config, sequences, bound.rows_used(k), of_row)
        + table
        + traffic.ENTRY * sequences * min(k, entries),
    )


def cross_bytes(config: ModelConfig, bound: Strategy, k: int, batch: int, src_len: int, beams: int = 1) -> int:
    """Bytes of cross-attention K/V after step k, in float32."""
    if bound.cross == "recompute":
        return 0
    return traffic.kv_bytes(config, batch * bound.source_copies(beams), bound.cross_keys_read(k, src_len), 4)


def drops_keys_of_the_source(bound: Strategy, last: int, src_len: int) -> bool:
    """Whether cross-attention reads fewer keys at some step than there are."""
    return bound.cross_keys_read(last, src_len) < src_len


def notes_bytes(config: ModelConfig, bound: Strategy, last: int, batch: int, src_len: int, beams: int = 1) -> int:
    """Most bytes that a strategy which drops keys of the source may hold besides K/V: what it saw, and a mask.

    These are two numbers for each position of the source, in every layer, and nothing for any other strategy.
    """
    if not drops_keys_of_the_source(bound, last, src_len):
        return 0
    return 2 * 4 * batch * bound.source_copies(beams) * src_len * config.decoder_layers
