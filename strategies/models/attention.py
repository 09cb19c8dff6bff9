"""Attention without a branch on the strategy: it calls stores, which decide what is remembered.

Under every strategy, Q, K and V of self-attention are one packed product, and K and V of cross-attention are another.

K and V may have fewer heads than Q (``ModelConfig.num_kv_heads``). The H / G query heads that share a head of K and V
are then laid out as rows of one product, [B, G, H/G * T, K] x [B, G, K, M], so K and V are read once for all of them
and never repeated (Shazeer 2019, arXiv 1911.02150, section 3; Ainslie et al. 2023, arXiv 2305.13245).

In beam search the W beams of a sentence attend to the same source. Where they share its K and V, they too are rows of
one product, [B, G, W * H/G * T, K] x [B, G, K, S].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from . import one_position
from .config import ModelConfig
from .positions import aligned_rows
from .stores import CrossKV, Reordering, SelfKV, Step


def group_bias(bias: Tensor, group: int) -> Tensor:
    """Lay out a score bias for query heads that are rows of one product, ``group`` per key/value head.

    ``bias`` is [B or 1, H or 1, T or 1, M]; the result broadcasts to [B, G, H/G * T, M]. A bias with H heads is only
    viewed. A bias of T rows for all heads is repeated ``group`` times.
    """
    _, heads, rows, keys = bias.shape
    if heads == 1 and rows == 1:
        return bias
    if heads == 1:
        bias, heads = bias.expand(-1, group, -1, -1), group
    return aligned_rows(bias.reshape(-1, heads // group, group * rows, keys))


class _Attention(nn.Module):
    may_write_out = True
    """Whether other code than torch's kernel may attend: loops of a compiled step (``one_position``), native layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.num_heads
        self.kv_heads = config.kv_heads
        self.head_size = config.d_kv
        self.scale = config.score_scale
        self.out = nn.Linear(config.inner, config.d_model, bias=config.biases)
        self.group = config.group

    def _split(self, packed_BTX: Tensor, *heads: int) -> tuple[Tensor, ...]:
        """Split [B, T, sum of heads * K] into a view of [B, heads, T, K] for each of ``heads``."""
        batch, rows, _ = packed_BTX.shape
        return packed_BTX.view(batch, rows, -1, self.head_size).transpose(1, 2).split_with_sizes(heads, 1)

    def _attend(self, q_BHTK: Tensor, k_BGMK: Tensor, v_BGMK: Tensor, bias: Tensor | None) -> Tensor:
        """softmax(scale * q k^T + bias) v, heads merged and projected: -> [B, T, D] (2017 paper, eq. 1)."""
        written_out = self.may_write_out and one_position.is_attention_written_out(q_BHTK, k_BGMK)
        attention = one_position.attention if written_out else F.scaled_dot_product_attention
        batch, beams = k_BGMK.shape[0], q_BHTK.shape[0] // k_BGMK.shape[0]
        if self.group == 1 and beams == 1:
            context_BHTK = attention(q_BHTK, k_BGMK, v_BGMK, attn_mask=bias, scale=self.scale)
            return self.out(context_BHTK.transpose(1, 2).flatten(2))
        # X: W * H/G * T. In each group, the rows of the first beam, and in it of the first head, come first.
        _, heads, rows, size = q_BHTK.shape
        split = batch, beams, heads // self.group, self.group, rows, size
        q_BGXK = q_BHTK.view(split).transpose(1, 2).reshape(batch, heads // self.group, -1, size)
        context_BGXK = attention(q_BGXK, k_BGMK, v_BGMK, attn_mask=bias, scale=self.scale)
        by_beam = context_BGXK.view(batch, heads // self.group, beams, self.group, rows, size)
        return self.out(by_beam.permute(0, 2, 4, 1, 3, 5).reshape(batch * beams, rows, heads * size))


class SelfAttention(_Attention):
    """Self-attention of an encoder (no store) or a decoder (through a ``SelfKV``)."""

    probe_regions: ClassVar = ("append", "select")
    """Methods that probes watch as they watch modules, so that they see what a store copies."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.qkv = nn.Linear(config.d_model, config.inner + 2 * config.kv_inner, bias=config.biases)

    def forward(
        self, x_BTD: Tensor, bias: Tensor | None, store: SelfKV | None = None, step: Step | None = None
    ) -> Tensor:
        """Attend, [B, T, D] -> [B, T, D]; ``bias`` broadcasts to [B, H, T, M], or is laid out by ``group_bias``."""
        q_BHTK, k_BGTK, v_BGTK = self.split(self.qkv(x_BTD))
        if store is None or step is None:
            return self._attend(q_BHTK, k_BGTK, v_BGTK, bias)
        k_BGMK, v_BGMK = self.append(store, k_BGTK, v_BGTK, step)
        return self._attend(q_BHTK, k_BGMK, v_BGMK, bias)

    def split(self, qkv_BTX: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views of Q [B, H, T, K] and of K and V [B, G, T, K] in their packed product, [B, T, (H + 2 G) * K]."""
        q_BHTK, k_BGTK, v_BGTK = self._split(qkv_BTX, self.heads, self.kv_heads, self.kv_heads)
        return q_BHTK, k_BGTK, v_BGTK

    def append(self, store: SelfKV, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Return the K and V to attend, [B, G, M, K] each."""
        return store.append(k_BGTK, v_BGTK, step)

    def select(self, store: Reordering, parent_B: Tensor, step: Step) -> None:
        """Let each sequence go on with the rows of the sequence ``parent_B``."""
        store.select(parent_B, step)


@dataclass(frozen=True)
class CrossProjection:
    """The ``CrossProject`` of one layer."""

    attention: CrossAttention

    @property
    def scale(self) -> float:
        """The factor on the product of queries and K in the layer's scores."""
        return self.attention.scale

    def __call__(self, memory_BSD: Tensor, /) -> tuple[Tensor, Tensor]:
        """K and V of the encoder's output: [B, S, D] -> two of [B, G, S, K]."""
        return self.attention.project(memory_BSD)


class CrossAttention(_Attention):
    """Attention of decoder rows over the source, whose K/V a ``CrossKV`` supplies."""

    probe_regions: ClassVar = ("read", "select")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.q = nn.Linear(config.d_model, config.inner, bias=config.biases)
        self.kv = nn.Linear(config.d_model, 2 * config.kv_inner, bias=config.biases)

    def project(self, memory_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """K and V of the encoder's output: [B, S, D] -> two of [B, G, S, K]."""
        k_BGSK, v_BGSK = self._split(self.kv(memory_BSD), self.kv_heads, self.kv_heads)
        return k_BGSK, v_BGSK

    def select(self, source: CrossKV, change: Callable[[Tensor], Tensor]) -> None:
        """Reorder what is kept of the source, where beams do not share it."""
        source.map(change)

    def forward(self, x_BTD: Tensor, source: CrossKV, bias: Tensor | None) -> Tensor:
        """Attend to the source, [B * W, T, D] -> [B * W, T, D]; ``bias`` broadcasts to [B, 1, 1, S].

        W sequences of a sentence, side by side, share the K and V [B, G, S, K] that ``source`` gives. If it gives
        [B * W, G, S, K], each has its own.
        """
        q_BHTK = self.split(self.q(x_BTD))
        return self._attend(q_BHTK, *self.read(source, q_BHTK, bias))

    def split(self, q_BTX: Tensor) -> Tensor:
        """The queries as a view, [B, T, H * K] -> [B, H, T, K]."""
        (q_BHTK,) = self._split(q_BTX, self.heads)
        return q_BHTK

    def read(self, source: CrossKV, q_BHTK: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the K and V of the source to attend, [B, G, M, K] each, and their bias."""
        found = source.get(q_BHTK, bias)
        if len(found) != 3:
            raise TypeError(f"get(q_BHTK, bias) of {type(source).__name__} must return K, V and their bias")
        return found
