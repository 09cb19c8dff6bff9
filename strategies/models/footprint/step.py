"""Bytes alive while the decoder computes a step, chooses tokens and reorders beams."""

from __future__ import annotations

from ..config import ModelConfig
from ..traffic import stored_bytes
from .blocks import Widths, bias_heads, network, norm, normed, regrouped, self_attention
from .remembered import Remembered


def step(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: Widths) -> list[int]:
    """Bytes at the moments of a step: inside each block of a layer, in the head, and while beams move."""
    sequences = batch * kept.beams
    rows, sources, value = sequences * kept.rows, batch * kept.copies * src_len, width.value
    bias = bias_heads(config) * kept.rows * kept.keys
    if config.group > 1 and kept.rows != 1 and bias_heads(config) == 1:
        bias *= config.group  # the mask is repeated for query heads that are rows
    positions = kept.rows * config.d_model if config.positions in ("sinusoidal", "learned") else 0
    fed = config.d_model * width.stream
    row = kept.row_bytes_of(config, width.value)
    one = -(-row // 2)  # of K, or of V
    # Where rows are copied to make room, the old K is gone when V is copied. To be read, both are there at once.
    beside = kept.copied * one + kept.gathered * row + kept.expanded * 2 * config.kv_inner * value
    # Codes of less than a byte are unpacked to a byte each before they are multiplied out.
    unpacked = kept.expanded * config.kv_inner if row < 2 * config.kv_inner else 0
    before_scores = rows * (fed + value * (normed(config) + config.inner + 2 * config.kv_inner))
    unpacking = before_scores + sequences * (beside + unpacked)
    attention = rows * (fed + value * self_attention(config)) + sequences * beside
    projected = 0 if kept.cross else value * 2 * config.kv_inner
    inside_cross = normed(config) + 2 * config.inner + regrouped(config) + config.d_model
    # The scores that are computed once more, and their softmax, are in float32.
    choosing_keys = 8 * rows * config.num_heads * kept.cross_observed
    choosing_keys += batch * kept.copies * kept.cross_copied * 2 * config.kv_inner * value
    cross = rows * (2 * fed + value * inside_cross) + sources * projected + choosing_keys
    feed_forward = rows * (2 * fed + max(value * normed(config) + network(config, width), norm(config, width)))
    head = value * (rows * config.d_model + sequences * config.vocab_size)
    held = stored_bytes(config, sequences, kept.reserved_last, row)
    of_source = src_len if kept.cross_rows is None else kept.cross_rows
    held += value * batch * kept.copies * of_source * kept.elements_of_source(config)
    around = held + value * (bias + positions)
    moments = [around + inside for inside in (unpacking, attention, cross, feed_forward, head)]
    if kept.choosing:
        moments.append(held + (value + kept.choosing) * sequences * config.vocab_size)
    if kept.beams > 1:
        source = src_len * (2 * config.kv_inner if kept.cross else config.d_model) if kept.cross_moved else 0
        moments += [held + sequences * new for new in (one * kept.moved, value * source)]
    return moments
