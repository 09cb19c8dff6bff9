"""One layer of the encoder and one of the decoder: attention and a feed-forward network, each around a residual sum."""

from __future__ import annotations

from torch import Tensor, nn

from .attention import CrossAttention, SelfAttention
from .config import ModelConfig
from .layers import FeedForward, Residual
from .stores import CrossKV, SelfKV, Step


class EncoderLayer(nn.Module):
    """Self-attention over the source, then a feed-forward network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.self_residual = Residual(config)
        self.ffn = FeedForward(config)
        self.ffn_residual = Residual(config)

    def forward(self, x_BSD: Tensor, bias: Tensor | None) -> Tensor:
        """Apply the layer, [B, S, D] -> [B, S, D]."""
        x_BSD = self.self_residual(x_BSD, lambda x: self.self_attn(x, bias))
        return self.ffn_residual(x_BSD, self.ffn)


class DecoderLayer(nn.Module):
    """Self-attention over earlier rows, cross-attention over the source, then a feed-forward network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.self_residual = Residual(config)
        self.cross_attn = CrossAttention(config)
        self.cross_residual = Residual(config)
        self.ffn = FeedForward(config)
        self.ffn_residual = Residual(config)

    def forward(
        self,
        x_BTD: Tensor,
        step: Step,
        store: SelfKV,
        source: CrossKV,
        self_bias: Tensor | None,
        source_bias: Tensor | None,
    ) -> Tensor:
        """Apply the layer, [B, T, D] -> [B, T, D]."""
        x_BTD = self.self_residual(x_BTD, lambda x: self.self_attn(x, self_bias, store, step))
        x_BTD = self.cross_residual(x_BTD, lambda x: self.cross_attn(x, source, source_bias))
        return self.ffn_residual(x_BTD, self.ffn)
