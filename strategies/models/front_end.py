"""The convolutions that turn a source of features into rows of the encoder (Whisper)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig

KERNEL = 3
"""Width of both convolutions, in frames."""
FRAMES = 2
"""Frames of features per position of the source: the stride of the second convolution."""


class FrontEnd(nn.Module):
    """Two convolutions over time, each with GELU after it; the second has a stride of 2.

    Source: Radford et al. 2022, arXiv 2212.04356, section 2.2. A convolution is a matrix product of [rows, inputs *
    width] with its weight, where a row holds the frames under the kernel.
    """

    def __init__(self, config: ModelConfig, mel_bins: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(mel_bins, config.d_model, KERNEL, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, KERNEL, stride=FRAMES, padding=1)

    def forward(self, features_BFT: Tensor) -> Tensor:
        """Features [B, mel, 2 S] of any float type -> rows [B, S, D]."""
        x_BDT = F.gelu(self.conv1(features_BFT.to(self.conv1.weight.dtype)))
        return F.gelu(self.conv2(x_BDT)).transpose(1, 2)
