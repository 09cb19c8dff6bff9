"""Multi-head attention without a branch on the strategy: it talks to the stores, and they decide what is remembered.

Q, K and V of self-attention are one packed product, as are K and V of cross-attention, for every strategy alike.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .stores import CrossKV, SelfKV, Step


class _Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.num_heads
        self.head_size = config.d_kv
        self.scale = config.score_scale
        self.out = nn.Linear(config.inner, config.d_model, bias=not config.is_t5)

    def _split(self, packed_BTX: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[B, T, parts*H*K] -> ``parts`` views of [B, H, T, K]."""
        batch, rows, _ = packed_BTX.shape
        return packed_BTX.view(batch, rows, parts, self.heads, self.head_size).permute(2, 0, 3, 1, 4).unbind(0)

    def _attend(self, q_BHTK: Tensor, k_BHMK: Tensor, v_BHMK: Tensor, bias: Tensor | None) -> Tensor:
        """softmax(scale * q k^T + bias) v, heads merged and projected: -> [B, T, D] (2017 paper, eq. 1)."""
        context_BHTK = F.scaled_dot_product_attention(q_BHTK, k_BHMK, v_BHMK, attn_mask=bias, scale=self.scale)
        return self.out(context_BHTK.transpose(1, 2).flatten(2))


class SelfAttention(_Attention):
    """Self-attention of an encoder (no store) or a decoder (through a ``SelfKV``)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.qkv = nn.Linear(config.d_model, 3 * config.inner, bias=not config.is_t5)

    def forward(
        self, x_BTD: Tensor, bias: Tensor | None, store: SelfKV | None = None, step: Step | None = None
    ) -> Tensor:
        """[B, T, D] -> [B, T, D]; ``bias`` broadcasts to [B, H, T, M]."""
        q_BHTK, k_BHTK, v_BHTK = self._split(self.qkv(x_BTD), 3)
        if store is None or step is None:
            return self._attend(q_BHTK, k_BHTK, v_BHTK, bias)
        return self._attend(q_BHTK, *store.append(k_BHTK, v_BHTK, step), bias)


class CrossAttention(_Attention):
    """Attention of decoder rows over the source, whose K/V a ``CrossKV`` supplies."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.q = nn.Linear(config.d_model, config.inner, bias=not config.is_t5)
        self.kv = nn.Linear(config.d_model, 2 * config.inner, bias=not config.is_t5)

    def project(self, memory_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """K and V of the encoder's output: [B, S, D] -> two of [B, H, S, K]."""
        k_BHSK, v_BHSK = self._split(self.kv(memory_BSD), 2)
        return k_BHSK, v_BHSK

    def forward(self, x_BTD: Tensor, source: CrossKV, bias: Tensor | None) -> Tensor:
        """[B, T, D] -> [B, T, D]; ``bias`` broadcasts to [B, H, T, S]."""
        (q_BHTK,) = self._split(self.q(x_BTD), 1)
        return self._attend(q_BHTK, *source.get(), bias)
