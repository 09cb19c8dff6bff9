"""What the two stacks of layers, encoder and decoder, have in common."""

from __future__ import annotations

import math

from torch import Tensor, nn

from .config import ModelConfig
from .layers import RowDropout, make_norm
from .positions import LearnedPositions, RelativeBias, sinusoids_ND


class Stack(nn.Module):
    """What encoder and decoder have in common: the embedding, positions, dropout and the norm at the end."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding | None, most_positions: int | None) -> None:
        super().__init__()
        self.config = config
        if embedding is not None:
            self.embedding = embedding
        self.embedding_scale = math.sqrt(config.d_model) if config.scale_embedding else None
        self.positions = LearnedPositions(config, most_positions or 0) if config.positions == "learned" else None
        self.embedding_norm = make_norm(config) if config.embedding_norm else nn.Identity()
        self.final_norm = make_norm(config) if config.final_norm else nn.Identity()
        self.dropout = RowDropout(config.dropout)
        self.group = config.group

    def position_table(self, length: int) -> Tensor | None:
        """What is added to the embeddings of the first N = ``length`` rows, [N, D] in their type, or None."""
        if isinstance(self.positions, LearnedPositions):
            return self.positions(length)
        if self.config.positions != "sinusoidal":
            return None
        weight = next(self.parameters())
        return sinusoids_ND(self.config, length, weight.device).to(weight.dtype)

    def embed(self, token_BT: Tensor, position_TD: Tensor | None) -> Tensor:
        """Embed token ids, [B, T] -> [B, T, D]; ``position_TD`` is added after the embedding is scaled."""
        x_BTD = self.embedding(token_BT)
        if self.embedding_scale is not None:
            x_BTD = x_BTD * self.embedding_scale
        if position_TD is not None:
            if self.config.zero_at_pad:
                position_TD = position_TD * (token_BT != self.config.pad_id)[..., None]
            x_BTD = x_BTD + position_TD
        return self.dropout(self.embedding_norm(x_BTD))


def relative_biases(config: ModelConfig, layers: int, bidirectional: bool) -> nn.ModuleList:
    """The tables of a stack: none, one for all its layers, or one for each."""
    count = (layers if config.relative_per_layer else 1) if config.positions == "relative" else 0
    return nn.ModuleList(RelativeBias(config, bidirectional) for _ in range(count))
