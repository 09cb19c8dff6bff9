"""Norms, the feed-forward network and the residual block that every architecture is made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .architectures import Activation
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
    """The model's norm over D."""
    kind = RMSNorm if config.norm == "rms" else nn.LayerNorm
    return kind(config.d_model, config.norm_eps)


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


def gelu_new(x: Tensor) -> Tensor:
    """GELU by tanh."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": gelu_new,
    "silu": F.silu,
}


class FeedForward(nn.Module):
    """The position-wise network: D -> F -> D.

    The activation is ReLU (2017, eq. 2; T5 v1.0), GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415), exact or by tanh
    ("gelu_new"), or SiLU. Where it is gated (Shazeer 2020, arXiv 2002.05202, eq. 6; T5 v1.1), the two first products
    are packed into one [D, 2F]. The second product runs in the dtype of its own weight: float16 T5 keeps it in float32,
    because its sums leave the range of float16.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gated = config.gated
        self.kind = config.activation
        self.activation = ACTIVATIONS[config.activation]
        bias = config.biases
        self.wi = nn.Linear(config.d_model, config.d_ff * (2 if config.gated else 1), bias=bias)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply the network to each row, [B, T, D] -> [B, T, D]."""
        if self.gated:
            gate_BTF, linear_BTF = self.wi(x_BTD).chunk(2, dim=-1)
            hidden_BTF = self.activation(gate_BTF) * linear_BTF
        else:
            hidden_BTF = self.activation(self.wi(x_BTD))
        return self.wo(hidden_BTF.to(self.wo.weight.dtype))


class Residual(nn.Module):
    """One residual connection and its norm, before the block (``norm_first``) or after the sum."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.norm = make_norm(config)
        self.dropout = RowDropout(config.dropout)

    def forward(self, x_BTD: Tensor, block: Callable[[Tensor], Tensor]) -> Tensor:
        """Return x + block(norm(x)), or norm(x + block(x)); [B, T, D] -> [B, T, D]."""
        if self.norm_first:
            return x_BTD + self.dropout(block(self.norm(x_BTD)))
        return self.norm(x_BTD + self.dropout(block(x_BTD)))
