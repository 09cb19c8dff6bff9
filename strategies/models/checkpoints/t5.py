"""The T5 family: T5, T5 v1.1, Flan-T5 and ByT5 (``t5``), mT5 (``mt5``) and UMT5 (``umt5``): its names and its keys.

What ``config.json`` says is read in ``t5_config.py``.
"""

from __future__ import annotations

import re
from typing import Any

from ..config import ModelConfig
from .family import Family, Names
from .t5_config import KNOWN_TYPES, t5_facts

HEAD = "lm_head.weight"
SHARED = "shared.weight"
STRAYS = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)
"""Tensors that the first releases store and no version of transformers reads."""


def t5_names(config: ModelConfig) -> Names:
    """Our name of a parameter -> the T5 tensors that are stacked to make it."""
    ffn = ["wi_0", "wi_1"] if config.gated else ["wi"]
    table: Names = {
        "embedding.weight": [SHARED],
        "encoder.final_norm.weight": ["encoder.final_layer_norm.weight"],
        "decoder.final_norm.weight": ["decoder.final_layer_norm.weight"],
    }
    if not config.tie_head:
        table["lm_head.weight"] = [HEAD]
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for i in range(layers):
            ours, theirs = f"{side}.layers.{i}", f"{side}.block.{i}.layer"
            if i == 0 or config.relative_per_layer:
                relative = f"{theirs}.0.SelfAttention.relative_attention_bias.weight"
                table[f"{side}.relative_biases.{i}.weight"] = [relative]
            table[f"{ours}.self_attn.qkv.weight"] = [f"{theirs}.0.SelfAttention.{x}.weight" for x in "qkv"]
            table[f"{ours}.self_attn.out.weight"] = [f"{theirs}.0.SelfAttention.o.weight"]
            table[f"{ours}.self_residual.norm.weight"] = [f"{theirs}.0.layer_norm.weight"]
            last = 1
            if side == "decoder":
                last = 2
                table[f"{ours}.cross_attn.q.weight"] = [f"{theirs}.1.EncDecAttention.q.weight"]
                table[f"{ours}.cross_attn.kv.weight"] = [f"{theirs}.1.EncDecAttention.{x}.weight" for x in "kv"]
                table[f"{ours}.cross_attn.out.weight"] = [f"{theirs}.1.EncDecAttention.o.weight"]
                table[f"{ours}.cross_residual.norm.weight"] = [f"{theirs}.1.layer_norm.weight"]
            table[f"{ours}.ffn.wi.weight"] = [f"{theirs}.{last}.DenseReluDense.{x}.weight" for x in ffn]
            table[f"{ours}.ffn.wo.weight"] = [f"{theirs}.{last}.DenseReluDense.wo.weight"]
            table[f"{ours}.ffn_residual.norm.weight"] = [f"{theirs}.{last}.layer_norm.weight"]
    return table


def t5_raw_config(config: ModelConfig) -> dict[str, Any]:
    """What ``config.json`` says of a model, without its special ids."""
    kind = "umt5" if config.relative_per_layer else "t5"
    return {
        "architectures": [f"{kind.upper()}ForConditionalGeneration"],
        "model_type": kind,
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "num_heads": config.num_heads,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.decoder_layers,
        "feed_forward_proj": "gated-gelu" if config.gated else "relu",
        "tie_word_embeddings": config.tie_head,
        "scale_decoder_outputs": config.scale_head,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "layer_norm_epsilon": config.norm_eps,
        "dropout_rate": config.dropout,
    }


FAMILY = Family(
    types=KNOWN_TYPES,
    example="T5ForConditionalGeneration",
    with_head=re.compile(r"\w*(ForConditionalGeneration|T5WithLMHeadModel)"),
    facts=t5_facts,
    names=t5_names,
    raw_config=t5_raw_config,
    shared=SHARED,
    of_stacks=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    head=HEAD,
    strays=STRAYS,
)
