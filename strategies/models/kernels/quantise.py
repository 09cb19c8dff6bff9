"""Weights rounded to int8, with a scale for each row of outputs."""

from __future__ import annotations

import torch
from torch import Tensor


def quantise(weight_XD: Tensor, scales: torch.dtype) -> tuple[Tensor, Tensor]:
    """Symmetric int8 by row of outputs: (int8 [out, in], scales [out]) with weight = int8 * scale.

    The largest absolute value of a row becomes 127, so no element is off by more than half a scale. Scales are rounded
    to the type ``scales``, in which products multiply by them, before the weights are divided by them. Rounded
    afterwards, they would add up to 127 times their rounding error.
    """
    smallest = torch.finfo(scales).tiny  # below it the type has fewer digits
    scale_X = (weight_XD.abs().amax(1) / 127).clamp(min=smallest).to(scales)
    return (weight_XD / scale_X.float()[:, None]).round().to(torch.int8), scale_X
