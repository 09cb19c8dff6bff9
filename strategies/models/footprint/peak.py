"""The moments of prefill and of a step at which most memory can be alive, and the most of them."""

from __future__ import annotations

import torch

from ..config import ModelConfig
from .blocks import Widths, bias_heads
from .prefill import prefill
from .remembered import Remembered
from .step import step


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
        *prefill(config, batch, src_len, kept, encoder, padded),
        *step(config, batch, src_len, kept, decoder),
    )
    tables = _tables(config, batch, src_len, tgt_len, kept, dtype.itemsize)
    return [peak + tables for peak in peaks]


def _tables(config: ModelConfig, batch: int, src_len: int, tgt_len: int, kept: Remembered, width: int) -> int:
    """Bytes of the tokens, held twice as int64, and of what a session looks up by position."""
    per_layer = config.relative_per_layer and config.positions == "relative"
    tables = config.decoder_layers if per_layer else 1
    by_distance = tables * bias_heads(config) * (tgt_len + kept.keys)
    lengths = (src_len, config.for_encoder), (tgt_len, config)
    by_position = sum(length * side.d_model for length, side in lengths if side.positions == "sinusoidal")
    sequences = batch * kept.beams
    return 8 * sequences * (2 * tgt_len + kept.entries) + width * (by_distance + by_position)
