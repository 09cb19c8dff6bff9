"""What a model reads: token ids, int64 [B, S], or features, float [B, mel, 2 S]."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import ModelConfig
from .front_end import FRAMES


def source_shape(config: ModelConfig, batch: int, src_len: int) -> tuple[int, ...]:
    """The shape of B=``batch`` sources of S=``src_len`` positions."""
    return (batch, src_len) if config.mel_bins is None else (batch, config.mel_bins, FRAMES * src_len)


def placeholder(config: ModelConfig, batch: int, src_len: int, device: torch.device | str = "cpu") -> Tensor:
    """Sources that stand for any others, where only shapes and types matter: padding, or features of zero."""
    shape = source_shape(config, batch, src_len)
    if config.mel_bins is not None:
        return torch.zeros(shape, device=device)
    return torch.full(shape, config.pad_id, device=device)  # which every vocabulary has
