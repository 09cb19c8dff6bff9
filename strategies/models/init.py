"""Seeded random weights, for training from scratch and for shapes that come without a checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from .encoder_decoder import EncoderDecoder
from .positions import LearnedPositions, RelativeBias


@torch.no_grad()
def randomize(model: EncoderDecoder, seed: int) -> EncoderDecoder:
    """Fill every weight from ``seed``, in place, on the CPU's generator so that devices agree; returns the model.

    Matrices have standard deviation fan_in**-0.5, which keeps activations near unit size. Embeddings and tables of
    positions have D**-0.5, since the head shares the embedding, and 1 in T5, which scales its head instead.
    """
    generator = torch.Generator().manual_seed(seed)

    def fill(weight: torch.Tensor, std: float) -> None:
        weight.copy_(torch.randn(weight.shape, generator=generator) * std)

    width = model.config.d_model
    of_rows = 1.0 if model.config.norm == "rms" else width**-0.5
    fill(model.embedding.weight, of_rows)
    if model.lm_head.weight is not model.embedding.weight:
        fill(model.lm_head.weight, width**-0.5)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            fill(module.weight, module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, RelativeBias):
            fill(module.weight, 0.5)
        elif isinstance(module, LearnedPositions):
            fill(module.weight, of_rows)
        elif isinstance(module, nn.Embedding) and module is not model.embedding:
            fill(module.weight, of_rows)
    if model.config.architecture == "marian":  # its decoder starts from padding, whose embedding is zero
        model.embedding.weight[model.config.pad_id] = 0
    return model
