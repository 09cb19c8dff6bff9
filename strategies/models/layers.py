"""Norms, the feed-forward network and the residual block that both architectures are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig


class RMSNorm(nn.Module):
    """x / rms(x) * weight, without a mean or a bias (Zhang and Sennrich 2019, arXiv 1910.07467, eq. 4).

    The statistic is computed in the dtype of ``x``, which is float32 where a residual stream was promoted. The result
    has the dtype of the weight, so a float16 model continues in float16.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Normalise the last dimension; [B, T, D] -> [B, T, D]."""
        weight_D = self.weight
        normed_BTD = F.rms_norm(x_BTD, weight_D.shape, weight_D.to(x_BTD.dtype), self.eps)
        return normed_BTD.to(weight_D.dtype)


def make_norm(config: ModelConfig) -> nn.Module:
    """The architecture's norm over D: RMS norm in T5, layer norm in 2017."""
    if config.is_t5:
        return RMSNorm(config.d_model, config.norm_eps)
    return nn.LayerNorm(config.d_model, eps=config.norm_eps)


class RowDropout(nn.Module):
    """Dropout whose mask is shared by the rows of a sequence (Gal and Ghahramani 2016, arXiv 1512.05287)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Drop columns of each sequence, [B, T, D] -> [B, T, D]; the identity outside training."""
        if not self.training or self.rate == 0:
            return x_BTD
        keep_B1D = torch.rand(x_BTD.shape[0], 1, x_BTD.shape[2], device=x_BTD.device) >= self.rate
        return x_BTD * (keep_B1D / (1 - self.rate))


class FeedForward(nn.Module):
    """The position-wise network: D -> F -> D.

    The activation is ReLU (2017, eq. 2; T5 v1.0) or gated GELU (Shazeer 2020, arXiv 2002.05202, eq. 6; T5 v1.1), whose
    two first products are packed into one [D, 2F]. The second product runs in the dtype of its own weight: float16 T5
    keeps it in float32, because its sums leave the range of float16.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gated = config.gated
        bias = not config.is_t5
        self.wi = nn.Linear(config.d_model, config.d_ff * (2 if config.gated else 1), bias=bias)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply the network to each row, [B, T, D] -> [B, T, D]."""
        if self.gated:
            gate_BTF, linear_BTF = self.wi(x_BTD).chunk(2, dim=-1)
            hidden_BTF = F.gelu(gate_BTF, approximate="tanh") * linear_BTF
        else:
            hidden_BTF = F.relu(self.wi(x_BTD))
        return self.wo(hidden_BTF.to(self.wo.weight.dtype))


class Residual(nn.Module):
    """One residual connection and its norm, before the block (T5) or after the sum (2017)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pre_norm = config.is_t5
        self.norm = make_norm(config)
        self.dropout = RowDropout(config.dropout)

    def forward(self, x_BTD: Tensor, block: Callable[[Tensor], Tensor]) -> Tensor:
        """Return x + block(norm(x)) in T5, norm(x + block(x)) in 2017; [B, T, D] -> [B, T, D]."""
        if self.pre_norm:
            return x_BTD + self.dropout(block(self.norm(x_BTD)))
        return self.norm(x_BTD + self.dropout(block(x_BTD)))
