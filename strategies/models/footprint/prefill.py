"""Bytes alive while the encoder runs and the cross projection is made."""

from __future__ import annotations

from ..config import ModelConfig
from ..front_end import FRAMES
from ..traffic import stored_bytes
from .blocks import Widths, network, norm, normed, self_attention
from .remembered import Remembered, kv_width


def _score_bias(config: ModelConfig, batch: int, src_len: int, padded: bool) -> tuple[int, int]:
    """Elements of the encoder's score bias: (while it is made, afterwards).

    Relative positions need one square per head; with padding there is one more per head and sentence.
    """
    if config.positions != "relative":
        found = batch * src_len if padded else 0
        return found, found
    square = config.num_heads * src_len * src_len
    return ((1 + batch) * square, batch * square) if padded else (square, square)


def prefill(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: Widths, padded: bool) -> list[int]:
    """Bytes at the moments of prefill: inside a layer, while the bias is made, and in the cross projection."""
    rows = batch * src_len
    # The layer's input lives until its output is there. The feed-forward network begins after a first residual sum.
    side = config.for_encoder
    attention = side.d_model * width.stream + width.value * self_attention(side)
    feed_forward = width.value * normed(side) + network(side, width)
    block = max(attention, 2 * side.d_model * width.stream + max(feed_forward, norm(side, width)))
    if side.mel_bins is not None:  # the output of the first convolution, before and after its activation
        block = max(block, 2 * FRAMES * side.d_model * width.value)
    made, bias = _score_bias(side, batch, src_len, padded)
    layers = rows * block + width.value * bias
    # Of the last layer, which is being repeated, or laid out densely where keys are to be dropped.
    repeated = 2 * config.kv_inner if kept.copies > 1 or kept.cross_rows is not None else 0
    cached = kept.copies * kv_width(config) + repeated if kept.cross else 0
    projection = width.value * rows * (config.d_model + cached)
    reserved = stored_bytes(config, batch * kept.beams, kept.reserved_first, kept.row_bytes_of(config, width.value))
    return [reserved + alive for alive in (layers, width.value * made, projection)]
