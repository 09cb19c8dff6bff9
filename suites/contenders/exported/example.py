"""Input with which the two modules are traced, and the names of K and V."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from strategies import ModelConfig


def layer_names(kind: str, layers: int) -> list[str]:
    """Names of K and V of each layer: (kind_k_0, kind_v_0, kind_k_1, ...)."""
    return [f"{kind}_{letter}_{layer}" for layer in range(layers) for letter in "kv"]


def example(config: ModelConfig) -> tuple[Any, ...]:
    """Input of ``SourceSide`` and ``StepSide``: (source, mask_BS, token_B1, cross, past).

    No size is 0 or 1, which would be taken for constants.
    """
    batch, src_len, held = 2, config.src_positions if config.mel_bins is not None else 3, 4
    assert src_len is not None
    source = torch.zeros(batch, src_len, dtype=torch.int64)
    if config.mel_bins is not None:
        source = torch.zeros(batch, config.mel_bins, 2 * src_len)
    mask_BS, layers = torch.ones(batch, src_len, dtype=torch.bool), config.decoder_layers
    cross = [torch.zeros(batch, config.kv_heads, src_len, config.d_kv) for _ in range(2 * layers)]
    past = [torch.zeros(batch, config.kv_heads, held, config.d_kv) for _ in range(2 * layers)]
    return source, mask_BS, torch.zeros(batch, 1, dtype=torch.int64), cross, past
