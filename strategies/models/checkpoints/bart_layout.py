"""The layout that BART's folders brought, which Marian, mBART, M2M100, Pegasus and Whisper share: names and keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..config import ModelConfig, ModelError
from ..message_text import shown
from .family import Facts, Family, Names
from .raw_values import flag, sizes, version
from .stored_names import LOGITS_BIAS

PREFIX = "model."
SHARED = "model.shared.weight"
OF_STACKS = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
TABLES = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
STRAYS = ("model.encoder.version", "model.decoder.version")
"""Tensors that the first releases store and no version of transformers reads."""
WITH_HEAD = re.compile(r"\w*ForConditionalGeneration")
BLOCKS = {
    "self_attn.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.out": ("self_attn.out_proj",),
    "self_residual.norm": ("self_attn_layer_norm",),
    "ffn.wi": ("fc1",),
    "ffn.wo": ("fc2",),
    "ffn_residual.norm": ("final_layer_norm",),
}
CROSS = {
    "cross_attn.q": ("encoder_attn.q_proj",),
    "cross_attn.kv": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "cross_attn.out": ("encoder_attn.out_proj",),
    "cross_residual.norm": ("encoder_attn_layer_norm",),
}
"""Our modules of a layer -> theirs, which are stacked to make it."""
SIZES = (
    "vocab_size", "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads",
    "encoder_ffn_dim", "decoder_ffn_dim",
)  # fmt: skip
ALIASES = {
    "hidden_size": "d_model",
    "num_attention_heads": "encoder_attention_heads",
    "num_hidden_layers": "encoder_layers",
}
"""Other names of a size that transformers accepts, and that its earlier versions wrote."""
ACTIVATIONS = {
    "relu": "relu", "gelu": "gelu", "gelu_new": "gelu_new", "gelu_pytorch_tanh": "gelu_new", "silu": "silu",
    "swish": "silu",
}  # fmt: skip
"""``activation_function`` -> ours. The first name of ours is the one that is written."""
NORMS = {
    "normalize_before": "norm_first",
    "normalize_embedding": "embedding_norm",
    "add_final_layer_norm": "final_norm",
}
"""Keys of the first releases, which CTranslate2 reads to this day -> the options that they tell."""


def layout_names(config: ModelConfig, shared: str = SHARED) -> Names:
    """Our name of a parameter -> the tensors that are stacked to make it; ``shared`` is the embedding's name."""
    table: Names = {"embedding.weight": [shared]}
    if config.has_own_source_embedding:
        table |= {"encoder.embedding.weight": [OF_STACKS[0]], "embedding.weight": [OF_STACKS[1]]}
    sides = (("encoder", config.for_encoder, config.encoder_layers), ("decoder", config, config.decoder_layers))
    for side, options, layers in sides:
        modules: dict[str, tuple[str, ...]] = {}
        if options.positions == "learned":
            table[f"{side}.positions.weight"] = [f"model.{side}.embed_positions.weight"]
        if config.embedding_norm:
            modules["embedding_norm"] = ("layernorm_embedding",)
        if config.final_norm:
            modules["final_norm"] = ("layer_norm",)
        for i in range(layers):
            blocks = BLOCKS if side == "encoder" else BLOCKS | CROSS
            modules |= {
                f"layers.{i}.{ours}": tuple(f"layers.{i}.{name}" for name in theirs) for ours, theirs in blocks.items()
            }
        for ours, theirs in modules.items():
            for kind in ("weight", "bias"):
                table[f"{side}.{ours}.{kind}"] = [f"model.{side}.{name}.{kind}" for name in theirs]
    if not config.tie_head:
        table["lm_head.weight"] = ["lm_head.weight"]
    if config.logits_bias:
        table["lm_head.bias"] = [LOGITS_BIAS]
    return table


def layout_facts(
    raw: Mapping[str, Any],
    options: Mapping[str, Any],
    ids: Mapping[str, Any],
    activation: str = "gelu",
    scaled: bool = False,
    most: tuple[str, str] | None = ("max_position_embeddings", "max_position_embeddings"),
) -> Facts:
    """Read the content of a ``config.json``.

    ``options`` are the family's fields of ``ModelConfig``, ``architecture`` and norms among them, ``ids`` its values of
    keys that are missing, and so are ``activation`` and ``scaled`` for ``scale_embedding``. ``most`` are the keys of
    the most positions of a source and a target, None if there is no bound. Raises ModelError for what is missing, not
    allowed or not supported.
    """
    kind = raw["model_type"]
    found = sizes(raw, (*SIZES, *dict.fromkeys(most or ())), ALIASES, f"a configuration of {kind}")
    made = ModelConfig(**{**_own_sizes(found), **options, **_most(found, most)})  # the family's options, each resolved
    for key, option in NORMS.items():
        if raw.get(key) is not None and flag(raw, key, False) != getattr(made, option):
            raise ModelError(
                f"{key}={shown(raw[key])} is not what {kind} does, and no version of transformers follows it; give a "
                "model of another family, or remove the key"
            )
    name = raw.get("activation_function", activation)
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ModelError(f"activation_function {shown(name)} is not known; known: {', '.join(ACTIVATIONS)}")
    tied = flag(raw, "tie_word_embeddings", True)
    return Facts(
        fields={
            **_own_sizes(found),
            **options,
            **_most(found, most),
            "activation": ACTIVATIONS[name],
            "scale_embedding": flag(raw, "scale_embedding", scaled),
        },
        layers={key: found[key] for key in ("encoder_layers", "decoder_layers")},
        default_ids=ids,
        tied=tied,
        newest=version(raw) >= 5,
        needs_head=not tied,
        separate=not tied,
    )


def _most(found: Mapping[str, int], keys: tuple[str, str] | None) -> dict[str, Any]:
    return {} if keys is None else {"src_positions": found[keys[0]], "tgt_positions": found[keys[1]]}


def _own_sizes(found: Mapping[str, int]) -> dict[str, Any]:
    """The fields of ``ModelConfig`` that hold sizes; those of the encoder only where they differ."""
    width = found["d_model"]
    by_side: dict[str, tuple[int, int, int]] = {}
    for side in ("encoder", "decoder"):
        heads = found[f"{side}_attention_heads"]
        if width % heads:
            raise ModelError(
                f"d_model={width} is not a multiple of {side}_attention_heads={heads}; all heads have one size"
            )
        by_side[side] = heads, width // heads, found[f"{side}_ffn_dim"]
    names = ("num_heads", "d_kv", "d_ff"), ("encoder_heads", "encoder_d_kv", "encoder_d_ff")
    fields = {key: found[key] for key in ("vocab_size", "d_model", "encoder_layers", "decoder_layers")}
    fields |= dict(zip(names[0], by_side["decoder"], strict=True))
    pairs = zip(names[1], by_side["encoder"], by_side["decoder"], strict=True)
    return fields | {name: one for name, one, other in pairs if one != other}


def layout_raw_config(config: ModelConfig, kind: str, name: str) -> dict[str, Any]:
    """What ``config.json`` says of a model of type ``kind`` and class ``name``, without its special ids."""
    encoder = config.for_encoder
    return {
        "architectures": [name],
        "model_type": kind,
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "encoder_attention_heads": encoder.num_heads,
        "decoder_attention_heads": config.num_heads,
        "encoder_ffn_dim": encoder.d_ff,
        "decoder_ffn_dim": config.d_ff,
        "activation_function": next(
            (name for name, ours in ACTIVATIONS.items() if ours == config.activation), config.activation
        ),
        "scale_embedding": config.scale_embedding,
        "tie_word_embeddings": config.tie_head,
        "dropout": config.dropout,
        "forced_eos_token_id": config.forced_eos_id,
        **{key: getattr(config, option) for key, option in NORMS.items()},
    }


def layout_family(kind: str, example: str, ids: Mapping[str, Any], **others: Any) -> Family:
    """A family of type and architecture ``kind``, whose folders have this layout; ``others`` are fields that differ.

    ``example`` is the class that it is saved as, and ``ids`` are its values of special ids that are missing.
    """

    def facts(raw: Mapping[str, Any]) -> Facts:
        return layout_facts(raw, {"architecture": kind}, ids)

    def raw_config(config: ModelConfig) -> dict[str, Any]:
        return layout_raw_config(config, kind, example) | {"max_position_embeddings": config.tgt_positions}

    usual: dict[str, Any] = {
        "with_head": WITH_HEAD,
        "facts": facts,
        "names": layout_names,
        "raw_config": raw_config,
        "shared": SHARED,
        "of_stacks": OF_STACKS,
        "has_logits_bias": True,
        "strays": STRAYS,
        "prefix": PREFIX,
    }
    return Family(types=(kind,), example=example, **(usual | others))
