"""Closed formula of the memory that decoding needs above the weights: the most bytes of tensors alive at once.

It follows the shapes of ``encoder_decoder.py`` in eager mode with an attention kernel that keeps no scores (Dao et al.
2022, arXiv 2205.14135). ``tests/suites/test_footprint.py`` holds it beside the peak that is measured. Left out: what
kernels use inside, and what an allocator rounds up or keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import ModelConfig
from .costs import kv_bytes


@dataclass(frozen=True)
class Remembered:
    """What a strategy keeps, in rows of one layer's K or V: before the first step, after the last, and moved in it.

    ``rows`` and ``keys``: T and M of the last step. ``cross``: cross K/V are cached; else the encoder's output is kept.
    """

    reserved_first: int
    reserved_last: int
    copied: int
    rows: int
    keys: int
    cross: bool


def peak_bytes(
    config: ModelConfig, batch: int, src_len: int, tgt_len: int, kept: Remembered, width: int, padded: bool = False
) -> int:
    """The larger of prefill's and the last step's peak, in bytes; ``width`` is that of an element.

    Live at once in elements, beside tokens and tables of positions:

        encoder       self K/V reserved from the start + score bias + B * S * block
        its end       self K/V reserved from the start + B * S * (D + cross K/V)
        last step     self K/V + cross K/V + score bias + the logits before + max(B * T * block, B * V)

    where a block holds the input of its layer, its own, the normed one, and the wider of attention (packed Q, K, V
    and the context) and the feed-forward network (both sides of its activation).
    """
    peaks = _prefill(config, batch, src_len, kept, width, padded), _step(config, batch, src_len, kept, width)
    return max(peaks) + _tables(config, batch, tgt_len, kept, width)


def _tables(config: ModelConfig, batch: int, tgt_len: int, kept: Remembered, width: int) -> int:
    """Bytes of the tokens, held twice as int64, and of what a session looks up by position."""
    by_distance = (config.num_heads if config.is_t5 else 1) * (tgt_len + kept.keys)
    by_position = 0 if config.is_t5 else tgt_len * config.d_model
    return 2 * 8 * batch * tgt_len + width * (by_distance + by_position)


def _kv_width(config: ModelConfig) -> int:
    """Elements of K and V of one row in all decoder layers."""
    return 2 * config.kv_inner * config.decoder_layers


def _cross(config: ModelConfig, kept: Remembered) -> int:
    """Elements that persist of one source token."""
    return _kv_width(config) if kept.cross else config.d_model


def _normed(config: ModelConfig) -> int:
    """T5 normalises before a block, and holds that beside the residual stream; the 2017 block takes the stream."""
    return config.d_model if config.is_t5 else 0


def _feed_forward(config: ModelConfig) -> int:
    """Elements a row inside the feed-forward network: before and after its activation, or gate, both and product."""
    if config.gated:
        return 4 * config.d_ff
    return config.d_ff + max(config.d_ff, config.d_model)


def _regrouped(config: ModelConfig) -> int:
    """Query heads that share K and V are copied into rows of one product, and their contexts back."""
    return 2 * config.inner if config.group > 1 else 0


def _self_attention(config: ModelConfig) -> int:
    """Elements a row inside self-attention: packed Q, K, V, the context, and its projection."""
    return 2 * config.inner + 2 * config.kv_inner + config.d_model + _regrouped(config)


def _encoder_bias(config: ModelConfig, batch: int, src_len: int, padded: bool) -> int:
    """Elements of the encoder's score bias: by distance for every head, and again with each sentence's padding."""
    if not config.is_t5:
        return batch * src_len if padded else 0
    square = config.num_heads * src_len * src_len
    if padded:
        return (1 + batch) * square
    return 2 * square if config.group > 1 else square


def _prefill(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: int, padded: bool) -> int:
    rows = batch * src_len
    # The layer's input is held until its output is there; the feed-forward network begins after a first sum.
    attention = config.d_model + _normed(config) + _self_attention(config)
    network = 2 * config.d_model + _normed(config) + _feed_forward(config)
    layers = rows * max(attention, network) + _encoder_bias(config, batch, src_len, padded)
    projection = rows * (config.d_model + (_kv_width(config) if kept.cross else 0))
    return kv_bytes(config, batch, kept.reserved_first, width) + width * max(layers, projection)


def _step(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: int) -> int:
    rows, sources = batch * kept.rows, batch * src_len
    bias = (config.num_heads if config.is_t5 else 1) * kept.rows * kept.keys
    if config.group > 1 and kept.rows > 1 and not config.is_t5:  # the mask, repeated for the heads that are now rows
        bias += config.group * kept.rows * kept.keys
    positions = 0 if config.is_t5 else kept.rows * config.d_model
    fed = config.d_model + _normed(config)
    attention = rows * (fed + _self_attention(config)) + batch * config.kv_inner * kept.copied
    projected = 0 if kept.cross else 2 * config.kv_inner
    cross = rows * (fed + 2 * config.d_model + 2 * config.inner + _regrouped(config)) + sources * projected
    network = rows * (fed + config.d_model + _feed_forward(config))
    head = rows * config.d_model + batch * config.vocab_size
    before = batch * config.vocab_size  # the last step's logits, until these take their name
    transient = bias + positions + before + max(attention, cross, network, head)
    held = kv_bytes(config, batch, kept.reserved_last, width)
    return held + width * (sources * _cross(config, kept) + transient)
