"""The LM head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import ModelConfig


class Head(nn.Module):
    """The LM head, from hidden rows to logits. It is a module even if it is tied, so that its product has a name.

    T5 v1.0 scales hidden states by D**-0.5 before its tied head; v1.1, which is untied, does not. The head of Marian
    and BART adds a bias to its logits.
    """

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.scale = config.d_model**-0.5 if config.scale_head else None
        self.weight = embedding.weight if config.tie_head else nn.Parameter(torch.empty_like(embedding.weight))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.logits_bias else None

    def forward(self, x_XD: Tensor) -> Tensor:
        """Compute logits, [..., D] -> [..., V]."""
        if self.scale is not None:
            x_XD = x_XD * self.scale
        return self.project(x_XD)

    def project(self, x_XD: Tensor) -> Tensor:
        """The matrix product and its bias, which another kernel may replace (``kernels/packing.py``)."""
        return nn.functional.linear(x_XD, self.weight, self.bias)
