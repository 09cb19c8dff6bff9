"""Closed formula of the memory of a model's weights, so that a model that is too large is refused before it is built.

``tests/models/test_parameters.py`` compares it with the parameters of built models, in every type and kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .config import ModelConfig
from .front_end import KERNEL

FP32 = 4
PANEL = 32
"""The outputs of a weight in panels are filled up with zeros to a multiple of it, which is one of every panel's."""


@dataclass(frozen=True)
class Weight:
    """The weight matrix of one product, [out, in]; ``count`` layers have one each.

    It is packed in ``parts``: that of a gated network as its gate and its linear half.
    """

    out: int
    inner: int
    count: int
    parts: int = 1

    @property
    def padded_out(self) -> int:
        """Outputs of its panels, which each part fills up."""
        return self.parts * padded(self.out // self.parts)

    @property
    def elements(self) -> int:
        """Number of elements over all layers."""
        return self.out * self.inner * self.count


def second_matrices(config: ModelConfig) -> list[Weight]:
    """The second matrix of every feed-forward network, from F to D; float16 T5 keeps it in float32."""
    return [Weight(side.d_model, side.d_ff, layers) for side, layers in _stacks(config)]


def _stacks(config: ModelConfig) -> list[tuple[ModelConfig, int]]:
    """(the configuration of a stack, its layers), for the encoder and the decoder."""
    return [(config.for_encoder, config.encoder_layers), (config, config.decoder_layers)]


def products(config: ModelConfig) -> Iterator[Weight]:
    """The weight matrices of all products but convolutions; that of a tied head is the embedding."""
    width, decoder = config.d_model, config.decoder_layers
    for side, layers in _stacks(config):
        yield Weight(side.inner + 2 * side.kv_inner, width, layers)  # self-attention's packed Q, K, V
        yield Weight(width, side.inner, layers)
        parts = 2 if side.gated else 1
        yield Weight(parts * side.d_ff, width, layers, parts)
    yield Weight(width, config.inner, decoder)  # cross-attention's output, its Q, and its packed K, V
    yield Weight(config.inner, width, decoder)
    yield Weight(2 * config.kv_inner, width, decoder)
    yield from second_matrices(config)
    yield Weight(config.vocab_size, width, 1)


def parameters(config: ModelConfig) -> int:
    """Number of parameters of the model, a tied head counted once."""
    width, both = config.d_model, config.encoder_layers + config.decoder_layers
    found = sum(weight.elements for weight in products(config))
    if config.biases:
        found += sum(weight.out * weight.count for weight in products(config)) - config.vocab_size
    if not config.tie_head:
        found += config.vocab_size * width
    if config.logits_bias:
        found += config.vocab_size
    norms = 2 * both + config.decoder_layers + 2 * config.final_norm + 2 * config.embedding_norm
    found += width * norms * (1 if config.norm == "rms" else 2)
    for side, layers in _stacks(config):
        if side.positions == "relative":
            found += side.relative_buckets * side.num_heads * (layers if side.relative_per_layer else 1)
    for side, most in ((config.for_encoder, config.src_positions), (config, config.tgt_positions)):
        if side.positions == "learned":
            found += width * (side.first_position + (most or 0))
    if config.mel_bins is not None:
        return found + width * (KERNEL * (config.mel_bins + width) + 2)
    return found + width * (config.src_vocab_size or 0)


def parameter_bytes(config: ModelConfig, dtype: str) -> int:
    """Bytes of the parameters as ``load_model`` loads them in ``dtype`` (fp32, bf16, fp16)."""
    if dtype == "fp32":
        return FP32 * parameters(config)
    return 2 * parameters(config) + (FP32 - 2) * _kept_in_fp32(config, dtype)


def _kept_in_fp32(config: ModelConfig, dtype: str) -> int:
    """Elements that stay float32 in a model of ``dtype``."""
    if dtype != "fp16" or not config.ffn_out_fp32:
        return 0
    return sum(weight.elements for weight in second_matrices(config))


def panel_elements(config: ModelConfig) -> int:
    """Elements of the panels of all products."""
    return sum(weight.padded_out * weight.inner * weight.count for weight in products(config))


def padded(outputs: int) -> int:
    """Outputs of the panels that hold ``outputs``.

    >>> padded(33)
    64
    """
    return math.ceil(outputs / PANEL) * PANEL


def copy_bytes(config: ModelConfig, dtype: str, linear: str, weights: str) -> int:
    """Bytes that the copies of another kernel (``linears``) or of narrower weights (``narrow``) add to the weights.

    They are fewer than 0 where narrower copies take the place of the weights. Panels of float32 add only what fills
    them up. ``linear=auto`` chooses kernels by their times, so its copies are not known in advance and count 0.
    """
    elements = sum(weight.elements for weight in products(config))
    replaced = FP32 * (elements - config.vocab_size * config.d_model * config.tie_head)
    if weights == "int8" and linear == "panel":
        return _int8_panel_bytes(config) - replaced
    if weights == "bf16":
        return 2 * elements - replaced
    if weights == "int8":  # and a scale of two bytes for each output
        return elements + 2 * sum(weight.out * weight.count for weight in products(config)) - replaced
    if linear == "panel":
        return FP32 * (panel_elements(config) - elements)
    if linear not in ("transposed", "onednn", "mkl"):
        return 0
    if dtype == "fp32":
        return FP32 * elements - (replaced if linear != "mkl" else 0)
    return 2 * elements + (FP32 - 2) * _kept_in_fp32(config, dtype)


def _int8_panel_bytes(config: ModelConfig) -> int:
    """Bytes of all weights in panels of int8, whose inputs are filled up to a multiple of 4.

    Each output has a scale and a sum of four bytes each.
    """
    return sum(weight.padded_out * weight.count * (math.ceil(weight.inner / 4) * 4 + 8) for weight in products(config))
