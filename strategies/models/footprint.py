"""Closed formula of the memory that decoding needs above the weights: the most bytes of tensors alive at once.

It follows the shapes of ``encoder_decoder.py`` in eager mode with an attention kernel that keeps no scores (Dao et al.
2022, arXiv 2205.14135). ``tests/suites/work/test_footprint.py`` holds it beside the peak that is measured. Left out:
what kernels use inside, and what an allocator rounds up or keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

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


@dataclass(frozen=True)
class Widths:
    """Bytes of an element: of what is kept and multiplied, and of the residual stream.

    ``wide``: the feed-forward's second product is in float32, as float16 T5 asks (``FeedForward``), and with it the
    stream after the first of them.
    """

    value: int
    stream: int
    wide: bool
    promoted: bool
    """Norms that are not one kernel compute in float32."""

    @classmethod
    def of(cls, config: ModelConfig, dtype: torch.dtype, layers: int) -> Widths:
        """In a stack of so many layers."""
        wide = dtype == torch.float16 and config.is_t5
        stream = 4 if wide and layers > 1 else dtype.itemsize
        return cls(dtype.itemsize, stream, wide, stream < 4)


def peak_bytes(
    config: ModelConfig,
    batch: int,
    src_len: int,
    tgt_len: int,
    kept: Remembered,
    dtype: torch.dtype,
    padded: bool = False,
) -> int:
    """The larger of prefill's and the last step's peak, in bytes.

    Live at once, beside tokens and tables of positions, each in the width that ``Widths`` gives it:

        the bias      self K/V reserved from the start + score bias, with and without padding
        encoder       self K/V reserved from the start + score bias + B * S * block
        its end       self K/V reserved from the start + B * S * (D + cross K/V)
        last step     self K/V + cross K/V + score bias + the logits before + max(B * T * block, B * V)

    where a block holds the input of its layer, its own, and the widest of a norm, of attention (the normed rows, packed
    Q, K, V and the context) and of the feed-forward network (the normed rows, both sides of its activation).
    """
    encoder = Widths.of(config, dtype, config.encoder_layers)
    decoder = Widths.of(config, dtype, config.decoder_layers)
    peaks = (
        _prefill(config, batch, src_len, kept, encoder, padded),
        _step(config, batch, src_len, kept, decoder),
    )
    return max(peaks) + _tables(config, batch, tgt_len, kept, dtype.itemsize)


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


def _norm(config: ModelConfig, width: Widths) -> int:
    """Bytes a row inside RMSNorm: scaled, then weighted, in float32; and the rows in float32 where they are not."""
    return config.d_model * (12 if width.promoted else 8) if config.is_t5 else 0


def _network(config: ModelConfig, width: Widths) -> int:
    """Bytes a row inside the feed-forward network, after its norm.

    Both sides of the activation (a gate: both its factors, one activated, and their product), or what the second
    product reads and writes.
    """
    value, out, inner = width.value, 4 if width.wide else width.value, config.d_ff
    widened = 4 * inner if width.wide else 0
    held = 3 if config.gated else 1
    return max(value * (held + 1) * inner, value * held * inner + widened + out * config.d_model)


def _regrouped(config: ModelConfig) -> int:
    """Query heads that share K and V are copied into rows of one product, and their contexts back."""
    return 2 * config.inner if config.group > 1 else 0


def _self_attention(config: ModelConfig) -> int:
    """Elements a row inside self-attention: its norm, packed Q, K, V, the context, and its projection."""
    return _normed(config) + 2 * config.inner + 2 * config.kv_inner + config.d_model + _regrouped(config)


def _encoder_bias(config: ModelConfig, batch: int, src_len: int, padded: bool) -> tuple[int, int]:
    """Elements of the encoder's score bias: while it is made, and after.

    By distance for every head, and with padding again for each sentence.
    """
    if not config.is_t5:
        found = batch * src_len if padded else 0
        return found, found
    square = config.num_heads * src_len * src_len
    return ((1 + batch) * square, batch * square) if padded else (square, square)


def _prefill(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: Widths, padded: bool) -> int:
    rows = batch * src_len
    # The layer's input is held until its output is there; the feed-forward network begins after a first sum.
    attention = config.d_model * width.stream + width.value * _self_attention(config)
    network = width.value * _normed(config) + _network(config, width)
    block = max(attention, 2 * config.d_model * width.stream + max(network, _norm(config, width)))
    made, bias = _encoder_bias(config, batch, src_len, padded)
    layers = rows * block + width.value * bias
    projection = width.value * rows * (config.d_model + (_kv_width(config) if kept.cross else 0))
    reserved = kv_bytes(config, batch, kept.reserved_first, width.value)
    return reserved + max(layers, width.value * made, projection)


def _step(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: Widths) -> int:
    rows, sources, value = batch * kept.rows, batch * src_len, width.value
    bias = (config.num_heads if config.is_t5 else 1) * kept.rows * kept.keys
    if config.group > 1 and kept.rows > 1 and not config.is_t5:  # the mask, repeated for the heads that are now rows
        bias += config.group * kept.rows * kept.keys
    positions = 0 if config.is_t5 else kept.rows * config.d_model
    fed = config.d_model * width.stream
    attention = rows * (fed + value * _self_attention(config)) + value * batch * config.kv_inner * kept.copied
    projected = 0 if kept.cross else value * 2 * config.kv_inner
    inside_cross = _normed(config) + 2 * config.inner + _regrouped(config) + config.d_model
    cross = rows * (2 * fed + value * inside_cross) + sources * projected
    network = rows * (2 * fed + max(value * _normed(config) + _network(config, width), _norm(config, width)))
    head = value * (rows * config.d_model + batch * config.vocab_size)
    before = batch * config.vocab_size  # the last step's logits, until these take their name
    transient = value * (bias + positions + before) + max(attention, cross, network, head)
    held = kv_bytes(config, batch, kept.reserved_last, value)
    return held + value * sources * _cross(config, kept) + transient
