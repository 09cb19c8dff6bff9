"""The ``config.json`` of the T5 family, read as transformers reads it.

Where versions of transformers differ, the folder's ``transformers_version`` decides; one without it is older than 5.

- T5 (and ByT5, Flan-T5, T5 v1.1) and UMT5 scale hidden states by D**-0.5 before their head where
  ``scale_decoder_outputs`` says so; without that key, which version 5 brought, where ``tie_word_embeddings`` is not
  false.
- mT5 never scales in version 5, whatever its ``config.json`` says. Up to version 4 it scales where
  ``tie_word_embeddings`` is true, which is not its default.
- The head is the embedding unless another one is stored. Up to version 4 a head that is stored beside
  ``tie_word_embeddings: true`` is ignored, from 5 on it is used if it differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import ModelError
from ..message_text import shown
from .family import Facts
from .raw_values import flag, size, sizes, version

KNOWN_TYPES = ("t5", "mt5", "umt5")
SIZES = ("vocab_size", "d_model", "num_heads", "d_kv", "d_ff", "num_layers")
ALIASES = {
    "hidden_size": "d_model",
    "num_attention_heads": "num_heads",
    "num_hidden_layers": "num_layers",
    "head_dim": "d_kv",
}
"""Other names of a size that transformers accepts; save_pretrained writes none of them."""
ACTIVATIONS = {(False, "relu"): "relu", (True, "gelu_new"): "gated-gelu"}
"""(is_gated_act, dense_act_fn) of each feed-forward network that the model computes."""


def t5_facts(raw: Mapping[str, Any]) -> Facts:
    """Read the content of a ``config.json``. Raises ModelError for what is missing, not allowed or not supported."""
    kind = raw["model_type"]
    found = sizes(raw, SIZES, ALIASES, "a T5 configuration")
    layers = found["num_layers"] if raw.get("num_decoder_layers") is None else size(raw, "num_decoder_layers")
    newest = version(raw) >= 5
    tied = flag(raw, "tie_word_embeddings", kind != "mt5" or newest)
    scaled = not newest and tied if kind == "mt5" else flag(raw, "scale_decoder_outputs", tied)
    epsilon = raw.get("layer_norm_epsilon", 1e-6)
    if type(epsilon) not in (int, float) or not 0 <= epsilon < 1:
        raise ModelError(f"layer_norm_epsilon={shown(epsilon)} is not allowed; give a number from 0 to below 1")
    return Facts(
        fields={
            "vocab_size": found["vocab_size"],
            "d_model": found["d_model"],
            "num_heads": found["num_heads"],
            "d_kv": found["d_kv"],
            "d_ff": found["d_ff"],
            "encoder_layers": found["num_layers"],
            "decoder_layers": layers,
            "gated": _is_gated(raw, "relu" if kind == "t5" else "gated-gelu"),
            "scale_head": scaled,
            "relative_buckets": size(raw, "relative_attention_num_buckets", 32),
            "relative_max_distance": size(raw, "relative_attention_max_distance", 128),
            "relative_per_layer": kind == "umt5",
            "norm_eps": float(epsilon),
        },
        layers={"num_layers": found["num_layers"], "num_decoder_layers": layers},
        default_ids={"eos_token_id": 1, "pad_token_id": 0} | ({} if kind == "t5" else {"decoder_start_token_id": 0}),
        # Version 5 ties the head whatever the file says; tie_word_embeddings=false means to it that nothing is scaled.
        tied=tied or newest,
        newest=newest,
    )


def _is_gated(raw: Mapping[str, Any], default: str) -> bool:
    """Whether the feed-forward network is gated. is_gated_act and dense_act_fn override ``feed_forward_proj``."""
    said = raw.get("feed_forward_proj", default)
    if said not in ACTIVATIONS.values():
        raise ModelError(f"feed_forward_proj {shown(said)} is not known; known: relu, gated-gelu")
    by_name = {name: key for key, name in ACTIVATIONS.items()}
    gated, activation = by_name[said]
    gated = flag(raw, "is_gated_act", gated)
    activation = raw.get("dense_act_fn", activation)
    if not isinstance(activation, str) or (gated, activation) not in ACTIVATIONS:
        raise ModelError(
            f"is_gated_act={shown(gated)} with dense_act_fn={shown(activation)} is not known beside feed_forward_proj="
            f"{shown(said)}; known: false with relu, true with gelu_new"
        )
    return gated
