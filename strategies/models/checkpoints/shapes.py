"""The shape of each parameter of a model by its name, so that files are checked before a model is built."""

from __future__ import annotations

from ..config import ModelConfig
from ..front_end import KERNEL


def parameter_shape(config: ModelConfig, name: str) -> tuple[int, ...]:
    """The shape of a parameter of ``EncoderDecoder(config)``, by the module that its name ends with.

    >>> parameter_shape(ModelConfig(40, 16, 2, 4, 32, 1, 1), "encoder.layers.0.self_attn.qkv.weight")
    (24, 16)
    """
    *path, module, kind = name.split(".")
    of_encoder = path[:1] == ["encoder"]
    side = config.for_encoder if of_encoder else config
    width = config.d_model
    if module == "embedding":
        return (config.src_vocab_size or 0) if of_encoder else config.vocab_size, width
    if module == "positions":
        most = config.src_positions if of_encoder else config.tgt_positions
        return side.first_position + (most or 0), width
    if "relative_biases" in path:
        return side.relative_buckets, side.num_heads
    if module.endswith("norm"):
        return (width,)
    weight = {
        "lm_head": (config.vocab_size, width),
        "qkv": (side.inner + 2 * side.kv_inner, width),
        "q": (side.inner, width),
        "kv": (2 * side.kv_inner, width),
        "out": (width, side.inner),
        "wi": (side.d_ff * (2 if side.gated else 1), width),
        "wo": (width, side.d_ff),
        "conv1": (width, config.mel_bins or 0, KERNEL),
        "conv2": (width, width, KERNEL),
    }[module]
    return weight if kind == "weight" else weight[:1]
