"""Closed formula of the memory of a model's weights, so that a model that is too large is refused before it is built.

``tests/models/test_parameters.py`` compares it with the parameters of built models, in every type and kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .config import ModelConfig

FP32 = 4


@dataclass(frozen=True)
class Weight:
    """The weight matrix of one product, [out, in]; ``count`` layers have one each."""

    out: int
    inner: int
    count: int

    @property
    def elements(self) -> int:
        """Number of elements over all layers."""
        return self.out * self.inner * self.count


def second_matrices(config: ModelConfig) -> Weight:
    """The second matrix of every feed-forward network, from F to D; float16 T5 keeps it in float32."""
    return Weight(config.d_model, config.d_ff, config.encoder_layers + config.decoder_layers)


def products(config: ModelConfig) -> Iterator[Weight]:
    """The weight matrices of all products; that of a tied head is the embedding."""
    width, both, decoder = config.d_model, config.encoder_layers + config.decoder_layers, config.decoder_layers
    yield Weight(config.inner + 2 * config.kv_inner, width, both)  # self-attention's packed Q, K, V
    yield Weight(width, config.inner, both + decoder)  # output projections of self- and cross-attention
    yield Weight(config.inner, width, decoder)  # cross-attention's Q
    yield Weight(2 * config.kv_inner, width, decoder)  # cross-attention's packed K, V
    yield Weight(config.d_ff * (2 if config.gated else 1), width, both)
    yield second_matrices(config)
    yield Weight(config.vocab_size, width, 1)


def parameters(config: ModelConfig) -> int:
    """Number of parameters of the model, a tied head counted once."""
    both, decoder = config.encoder_layers + config.decoder_layers, config.decoder_layers
    matrices = sum(weight.elements for weight in products(config))
    if not config.tie_head:
        matrices += config.vocab_size * config.d_model
    norms = 2 * both + decoder  # one for each residual sum
    if config.is_t5:
        return matrices + config.d_model * (norms + 2) + 2 * config.relative_buckets * config.num_heads
    biases = sum(weight.out * weight.count for weight in products(config)) - config.vocab_size  # the head has none
    return matrices + biases + 2 * config.d_model * norms


def parameter_bytes(config: ModelConfig, dtype: str) -> int:
    """Bytes of the parameters as ``load_model`` loads them in ``dtype`` (fp32, bf16, fp16)."""
    if dtype == "fp32":
        return FP32 * parameters(config)
    kept = second_matrices(config).elements if dtype == "fp16" and config.is_t5 else 0
    return 2 * parameters(config) + (FP32 - 2) * kept


def copy_bytes(config: ModelConfig, dtype: str, linear: str, weights: str) -> int:
    """Bytes of the copies that another kernel (``linears``) or narrower weights (``narrow``) add to the weights.

    ``linear=auto`` chooses kernels by their times, so its copies are not known in advance and count 0, the least.
    """
    elements = sum(weight.elements for weight in products(config))
    if weights == "bf16":
        return 2 * elements
    if weights == "int8":  # and a scale of two bytes for each output
        return elements + 2 * sum(weight.out * weight.count for weight in products(config))
    if linear not in ("transposed", "onednn", "mkl"):
        return 0
    if dtype == "fp32":
        return FP32 * elements
    kept = second_matrices(config).elements if dtype == "fp16" and config.is_t5 else 0
    return 2 * elements + (FP32 - 2) * kept
