"""Closed formula of the peak memory of decoding above the weights: the most bytes of tensors alive at once.

It follows the shapes of ``encoder_decoder.py`` in eager mode with an attention kernel that keeps no scores (Dao et al.
2022, arXiv 2205.14135). ``tests/suites/work/test_footprint.py`` compares it with the measured peak. What kernels use
inside, and what an allocator rounds up or keeps, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .config import ModelConfig
from .front_end import FRAMES
from .traffic import stored_bytes


@dataclass(frozen=True)
class Remembered:
    """What a strategy keeps at one step, by default the last, in rows of one layer's K or V.

    ``reserved_first`` rows persist before the first step and ``reserved_last`` after this step, in which ``copied``
    rows are copied to make room. ``rows`` and ``keys`` are T and M of the step. ``cross`` says whether cross K/V are
    cached; if not, the encoder's output is kept. All rows are of one sequence, and each sentence has ``beams`` of them.
    With ``cross_shared`` these keep one copy of what is kept of the source. In the step ``gathered`` rows are copied to
    be read, as they persist, and ``expanded`` rows are made in the model's type to be read. Before it ``moved`` rows
    are copied to reorder beams, into new tensors, and with ``cross_moved`` what is kept of the source too. ``entries``
    of index tables persist. ``choosing`` is the number of bytes that a search makes beside each logit.

    A row of K and one of V persist in ``row_bytes`` together, None where they are in the model's type. Cross K/V have
    ``cross_rows`` rows before the step, None for all S. In the step the scores of ``cross_observed`` keys of the source
    are computed once more, and ``cross_copied`` of its rows are copied because the others are dropped.
    """

    reserved_first: int
    reserved_last: int
    copied: int
    rows: int
    keys: int
    cross: bool
    beams: int = 1
    cross_shared: bool = True
    gathered: int = 0
    moved: int = 0
    cross_moved: bool = False
    entries: int = 0
    choosing: int = 0
    expanded: int = 0
    row_bytes: int | None = None
    cross_rows: int | None = None
    cross_observed: int = 0
    cross_copied: int = 0

    @property
    def copies(self) -> int:
        """Copies per sentence of what is kept of its source."""
        return 1 if self.cross_shared else self.beams


@dataclass(frozen=True)
class Widths:
    """Bytes per element: ``value`` of what is kept and multiplied, ``stream`` of the residual stream.

    ``wide`` says that the feed-forward's second product is in float32, as in float16 T5 (``FeedForward``). The residual
    stream is then float32 after the first of these products.
    """

    value: int
    stream: int
    wide: bool
    promoted: bool
    """Whether RMSNorm, which is several kernels, holds a float32 copy of rows that are narrower."""

    @classmethod
    def of(cls, config: ModelConfig, dtype: torch.dtype, layers: int) -> Widths:
        """The widths in a stack of ``layers`` layers."""
        wide = dtype == torch.float16 and config.ffn_out_fp32
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
    """Peak memory in bytes: the most that is alive at any of ``moments``."""
    return max(moments(config, batch, src_len, tgt_len, kept, dtype, padded))


def moments(
    config: ModelConfig,
    batch: int,
    src_len: int,
    tgt_len: int,
    kept: Remembered,
    dtype: torch.dtype,
    padded: bool = False,
) -> list[int]:
    """Bytes alive at each moment of prefill, and of the step that ``kept`` is about, that can be the peak.

    Each is a polynomial in the batch, the lengths and the rows of ``kept``, which may therefore be letters of sympy
    (``suites/work/peak_letters.py``).

    The following is alive at once, beside tokens and position tables, each in the width that ``Widths`` gives it:

        encoder's bias  self K/V reserved from the start + score bias, with and without padding
        encoder         self K/V reserved from the start + score bias + B * S * block
        encoder's end   self K/V reserved from the start + B * S * (D + cross K/V)
        step            self K/V + cross K/V + score bias + max(B * T * block, B * V)
        choosing        self K/V + cross K/V + B * V logits and what a search makes of them
        reordering      self K/V + cross K/V + new tensors, where beams are reordered into such

    In the decoder B counts sequences: B * W with beams.

    A block holds the input of its layer, its own input, and the largest of a norm, of attention (the normed rows,
    packed Q, K, V and the context) and of the feed-forward network (the normed rows, both sides of its activation).
    """
    encoder = Widths.of(config, dtype, config.encoder_layers)
    decoder = Widths.of(config, dtype, config.decoder_layers)
    peaks = (
        *_prefill(config, batch, src_len, kept, encoder, padded),
        *_step(config, batch, src_len, kept, decoder),
    )
    tables = _tables(config, batch, tgt_len, kept, dtype.itemsize)
    return [peak + tables for peak in peaks]


def _tables(config: ModelConfig, batch: int, tgt_len: int, kept: Remembered, width: int) -> int:
    """Bytes of the tokens, held twice as int64, and of what a session looks up by position."""
    tables = config.decoder_layers if config.relative_per_layer else 1
    by_distance = tables * _bias_heads(config) * (tgt_len + kept.keys)
    by_position = tgt_len * config.d_model if config.positions == "sinusoidal" else 0
    sequences = batch * kept.beams
    return 8 * sequences * (2 * tgt_len + kept.entries) + width * (by_distance + by_position)


def _bias_heads(config: ModelConfig) -> int:
    """Heads of a score bias: one, if it holds nothing but the causal mask."""
    return config.num_heads if config.positions == "relative" else 1


def _kv_width(config: ModelConfig) -> int:
    """Elements of one row of K and V in all decoder layers."""
    return 2 * config.kv_inner * config.decoder_layers


def _row_bytes(config: ModelConfig, kept: Remembered, width: Widths) -> int:
    """Bytes of one row of K and one of V of one sequence in one layer, as they persist."""
    return 2 * config.kv_inner * width.value if kept.row_bytes is None else kept.row_bytes


def _cross(config: ModelConfig, kept: Remembered) -> int:
    """Elements that persist per source token."""
    return _kv_width(config) if kept.cross else config.d_model


def _normed(config: ModelConfig) -> int:
    """Elements per row of a block's normed input, held beside the residual stream where the norm comes first."""
    return config.d_model if config.norm_first else 0


def _norm(config: ModelConfig, width: Widths) -> int:
    """Bytes per row inside RMSNorm: scaled and weighted rows in float32, and a float32 copy of narrower rows."""
    return config.d_model * (12 if width.promoted else 8) if config.norm == "rms" else 0


def _network(config: ModelConfig, width: Widths) -> int:
    """Bytes per row inside the feed-forward network, after its norm.

    This is the larger of two moments: both sides of the activation (with a gate: both factors, the activated one, and
    the product), and what the second matrix product reads and writes.
    """
    value, out, inner = width.value, 4 if width.wide else width.value, config.d_ff
    widened = 4 * inner if width.wide else 0
    held = 3 if config.gated else 1
    return max(value * (held + 1) * inner, value * held * inner + widened + out * config.d_model)


def _regrouped(config: ModelConfig) -> int:
    """Elements per row of two copies: query heads that share K and V into rows of one product, and contexts back."""
    return 2 * config.inner if config.group > 1 else 0


def _self_attention(config: ModelConfig) -> int:
    """Elements per row inside self-attention: the normed row, packed Q, K, V, the context, and its projection."""
    return _normed(config) + 2 * config.inner + 2 * config.kv_inner + config.d_model + _regrouped(config)


def _encoder_bias(config: ModelConfig, batch: int, src_len: int, padded: bool) -> tuple[int, int]:
    """Elements of the encoder's score bias: (while it is made, afterwards).

    Relative positions need one square per head; with padding there is one more per head and sentence.
    """
    if config.positions != "relative":
        found = batch * src_len if padded else 0
        return found, found
    square = config.num_heads * src_len * src_len
    return ((1 + batch) * square, batch * square) if padded else (square, square)


def _prefill(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: Widths, padded: bool) -> list[int]:
    """Bytes at the moments of prefill: inside a layer, while the bias is made, and in the cross projection."""
    rows = batch * src_len
    # The layer's input lives until its output is there. The feed-forward network begins after a first residual sum.
    side = config.for_encoder
    attention = side.d_model * width.stream + width.value * _self_attention(side)
    network = width.value * _normed(side) + _network(side, width)
    block = max(attention, 2 * side.d_model * width.stream + max(network, _norm(side, width)))
    if side.mel_bins is not None:  # the output of the first convolution, before and after its activation
        block = max(block, 2 * FRAMES * side.d_model * width.value)
    made, bias = _encoder_bias(side, batch, src_len, padded)
    layers = rows * block + width.value * bias
    # Of the last layer, which is being repeated, or laid out densely where keys are to be dropped.
    repeated = 2 * config.kv_inner if kept.copies > 1 or kept.cross_rows is not None else 0
    cached = kept.copies * _kv_width(config) + repeated if kept.cross else 0
    projection = width.value * rows * (config.d_model + cached)
    reserved = stored_bytes(config, batch * kept.beams, kept.reserved_first, _row_bytes(config, kept, width))
    return [reserved + alive for alive in (layers, width.value * made, projection)]


def _step(config: ModelConfig, batch: int, src_len: int, kept: Remembered, width: Widths) -> list[int]:
    """Bytes at the moments of a step: inside each block of a layer, in the head, and while beams move."""
    sequences = batch * kept.beams
    rows, sources, value = sequences * kept.rows, batch * kept.copies * src_len, width.value
    bias = _bias_heads(config) * kept.rows * kept.keys
    if (
        config.group > 1 and kept.rows != 1 and _bias_heads(config) == 1
    ):  # the mask, repeated for query heads that are rows
        bias *= config.group
    positions = kept.rows * config.d_model if config.positions in ("sinusoidal", "learned") else 0
    fed = config.d_model * width.stream
    row = _row_bytes(config, kept, width)
    one = -(-row // 2)  # of K, or of V
    # Where rows are copied to make room, the old K is gone when V is copied. To be read, both are there at once.
    beside = kept.copied * one + kept.gathered * row + kept.expanded * 2 * config.kv_inner * value
    # Codes of less than a byte are unpacked to a byte each before they are multiplied out.
    unpacked = kept.expanded * config.kv_inner if row < 2 * config.kv_inner else 0
    before_scores = rows * (fed + value * (_normed(config) + config.inner + 2 * config.kv_inner))
    unpacking = before_scores + sequences * (beside + unpacked)
    attention = rows * (fed + value * _self_attention(config)) + sequences * beside
    projected = 0 if kept.cross else value * 2 * config.kv_inner
    inside_cross = _normed(config) + 2 * config.inner + _regrouped(config) + config.d_model
    # The scores that are computed once more, and their softmax, are in float32.
    choosing_keys = 8 * rows * config.num_heads * kept.cross_observed
    choosing_keys += batch * kept.copies * kept.cross_copied * 2 * config.kv_inner * value
    cross = rows * (2 * fed + value * inside_cross) + sources * projected + choosing_keys
    network = rows * (2 * fed + max(value * _normed(config) + _network(config, width), _norm(config, width)))
    head = value * (rows * config.d_model + sequences * config.vocab_size)
    held = stored_bytes(config, sequences, kept.reserved_last, row)
    of_source = src_len if kept.cross_rows is None else kept.cross_rows
    held += value * batch * kept.copies * of_source * _cross(config, kept)
    around = held + value * (bias + positions)
    moments = [around + inside for inside in (unpacking, attention, cross, network, head)]
    if kept.choosing:
        moments.append(held + (value + kept.choosing) * sequences * config.vocab_size)
    if kept.beams > 1:
        source = src_len * (2 * config.kv_inner if kept.cross else config.d_model) if kept.cross_moved else 0
        moments += [held + sequences * new for new in (one * kept.moved, value * source)]
    return moments
