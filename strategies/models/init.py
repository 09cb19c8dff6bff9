"""Seeded random weights, for training from scratch and for shapes that come without a checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from .encoder_decoder import EncoderDecoder
from .positions import RelativeBias


@torch.no_grad()
def randomize(model: EncoderDecoder, seed: int) -> EncoderDecoder:
    """Fill every weight from ``seed``, in place, on the CPU's generator so that devices agree; returns the model.

    Matrices have standard deviation fan_in**-0.5, which keeps activations near unit size in both architectures. The
    embedding has D**-0.5 in the 2017 architecture, which scales its rows by D**0.5, and 1 in T5, which does not.
    """
    generator = torch.Generator().manual_seed(seed)

    def fill(weight: torch.Tensor, std: float) -> None:
        weight.copy_(torch.randn(weight.shape, generator=generator) * std)

    width = model.config.d_model
    fill(model.embedding.weight, 1.0 if model.config.is_t5 else width**-0.5)
    if model.lm_head.weight is not model.embedding.weight:
        fill(model.lm_head.weight, width**-0.5)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            fill(module.weight, module.in_features**-0.5)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, RelativeBias):
            fill(module.weight, 0.5)
    return model
