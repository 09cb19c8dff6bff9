"""Elements and bytes per row that the blocks of a layer hold, and the widths of their elements."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..config import ModelConfig


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


def normed(config: ModelConfig) -> int:
    """Elements per row of a block's normed input, held beside the residual stream where the norm comes first."""
    return config.d_model if config.norm_first else 0


def norm(config: ModelConfig, width: Widths) -> int:
    """Bytes per row inside RMSNorm: scaled and weighted rows in float32, and a float32 copy of narrower rows."""
    return config.d_model * (12 if width.promoted else 8) if config.norm == "rms" else 0


def network(config: ModelConfig, width: Widths) -> int:
    """Bytes per row inside the feed-forward network, after its norm.

    This is the larger of two moments: both sides of the activation (with a gate: both factors, the activated one, and
    the product), and what the second matrix product reads and writes.
    """
    value, out, inner = width.value, 4 if width.wide else width.value, config.d_ff
    widened = 4 * inner if width.wide else 0
    held = 3 if config.gated else 1
    return max(value * (held + 1) * inner, value * held * inner + widened + out * config.d_model)


def regrouped(config: ModelConfig) -> int:
    """Elements per row of two copies: query heads that share K and V into rows of one product, and contexts back."""
    return 2 * config.inner if config.group > 1 else 0


def self_attention(config: ModelConfig) -> int:
    """Elements per row inside self-attention: the normed row, packed Q, K, V, the context, and its projection."""
    return normed(config) + 2 * config.inner + 2 * config.kv_inner + config.d_model + regrouped(config)


def bias_heads(config: ModelConfig) -> int:
    """Heads of a decoder's score bias: one, if it holds nothing but the causal mask."""
    return config.num_heads if config.positions == "relative" else 1
