"""The ``config.json`` of the T5 family, read as transformers reads it.

Where versions of transformers differ, the folder's ``transformers_version`` decides; one without it is older than 5.

- T5 (and ByT5, Flan-T5, T5 v1.1) scales hidden states by D**-0.5 before its head where ``scale_decoder_outputs`` says
  so; without that key, which version 5 brought, where ``tie_word_embeddings`` is not false.
- mT5 never scales in version 5, whatever its ``config.json`` says. Up to version 4 it scales where
  ``tie_word_embeddings`` is true, which is not its default.
- The head is the embedding unless another one is stored. Up to version 4 a head that is stored beside
  ``tie_word_embeddings: true`` is ignored, from 5 on it is used if it differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config import ModelConfig, ModelError
from ..message_text import shown
from .special_ids import SpecialIds

KNOWN_TYPES = ("t5", "mt5")
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
LARGEST = 2**31 - 1
"""The largest size; the headers of the files bound the sizes that memory depends on."""
WITH_HEAD = re.compile(r"\w*(ForConditionalGeneration|T5WithLMHeadModel)")


@dataclass(frozen=True)
class T5Facts:
    """What ``config.json`` says, its types checked. ``newest`` says that it is read as transformers 5 reads it."""

    kind: str
    sizes: Mapping[str, int]
    decoder_layers: int
    gated: bool
    tied: bool
    scaled: bool
    newest: bool
    buckets: int
    farthest: int
    norm_eps: float

    @property
    def default_start(self) -> int | None:
        """The start id that the family uses if the folder names none, or None."""
        return 0 if self.kind == "mt5" else None

    def model_config(self, ids: SpecialIds, tie_head: bool) -> ModelConfig:
        """The model's configuration with these special ids. Raises ModelError for values that make no model."""
        return ModelConfig(
            vocab_size=self.sizes["vocab_size"],
            d_model=self.sizes["d_model"],
            num_heads=self.sizes["num_heads"],
            d_kv=self.sizes["d_kv"],
            d_ff=self.sizes["d_ff"],
            encoder_layers=self.sizes["num_layers"],
            decoder_layers=self.decoder_layers,
            gated=self.gated,
            tie_head=tie_head,
            scale_head=self.scaled,
            relative_buckets=self.buckets,
            relative_max_distance=self.farthest,
            norm_eps=self.norm_eps,
            pad_id=ids.pad,
            eos_id=ids.eos[0],
            other_eos_ids=ids.eos[1:],
            start_id=ids.start,
        )


def t5_facts(raw: Mapping[str, Any]) -> T5Facts:
    """Read the content of a ``config.json``. Raises ModelError for what is missing, not allowed or not supported."""
    kind = raw.get("model_type")
    if kind not in KNOWN_TYPES:
        raise ModelError(f"model_type {shown(kind)} is not known; known: {', '.join(KNOWN_TYPES)}")
    _require_a_head(raw)
    if raw.get("is_encoder_decoder", True) is not True:
        raise ModelError(
            f"is_encoder_decoder={shown(raw['is_encoder_decoder'])} is not allowed; give a model that has both stacks"
        )
    _require_plain_weights(raw)
    missing = [key for key in SIZES if key not in raw]
    if missing:
        raise ModelError(f"config.json lacks {', '.join(missing)}; a T5 configuration has them")
    sizes = {key: _size(raw, key) for key in SIZES}
    for alias, key in ALIASES.items():
        if alias in raw and raw[alias] != sizes[key]:
            raise ModelError(f"{alias}={shown(raw[alias])} contradicts {key}={sizes[key]}; keep {key} alone")
    layers = sizes["num_layers"] if raw.get("num_decoder_layers") is None else _size(raw, "num_decoder_layers")
    newest = _version(raw) >= 5
    tied = _flag(raw, "tie_word_embeddings", kind == "t5" or newest)
    scaled = not newest and tied if kind == "mt5" else _flag(raw, "scale_decoder_outputs", tied)
    epsilon = raw.get("layer_norm_epsilon", 1e-6)
    if type(epsilon) not in (int, float) or not 0 <= epsilon < 1:
        raise ModelError(f"layer_norm_epsilon={shown(epsilon)} is not allowed; give a number from 0 to below 1")
    return T5Facts(
        kind=kind,
        sizes=sizes,
        decoder_layers=layers,
        gated=_is_gated(raw, "gated-gelu" if kind == "mt5" else "relu"),
        # Version 5 ties the head whatever the file says; tie_word_embeddings=false means to it that nothing is scaled.
        tied=tied or newest,
        scaled=scaled,
        newest=newest,
        buckets=_size(raw, "relative_attention_num_buckets", 32),
        farthest=_size(raw, "relative_attention_max_distance", 128),
        norm_eps=float(epsilon),
    )


def _require_a_head(raw: Mapping[str, Any]) -> None:
    names = raw.get("architectures")
    if names is None:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"architectures={shown(names)} is not allowed; give a list of names, or leave it out")
    if names and not any(WITH_HEAD.fullmatch(name) for name in names):
        raise ModelError(
            f"architectures names {shown(', '.join(names))}, which generates no text: an encoder alone, a model saved "
            "without its head, or with another; give the folder of a T5ForConditionalGeneration"
        )


def _require_plain_weights(raw: Mapping[str, Any]) -> None:
    quantized = raw.get("quantization_config")
    if quantized is None:
        return
    method = quantized.get("quant_method", "unknown") if isinstance(quantized, dict) else quantized
    raise ModelError(
        f"quantization_config says that the weights are quantized ({shown(method)}); give the model as it was before, "
        "or save what transformers' model.dequantize() gives"
    )


def _size(raw: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = raw.get(key, default)
    if type(value) is not int or not 1 <= value <= LARGEST:
        raise ModelError(f"{key}={shown(value)} must be a whole number from 1 to {LARGEST}")
    return value


def _flag(raw: Mapping[str, Any], key: str, default: bool) -> bool:
    value = raw.get(key, default)
    if not isinstance(value, bool):
        raise ModelError(f"{key}={shown(value)} is not allowed; give true or false")
    return value


def _version(raw: Mapping[str, Any]) -> int:
    """The major version of transformers that wrote the file, 0 if the file does not say."""
    value = raw.get("transformers_version")
    if value is None:
        return 0
    found = re.match(r"(\d{1,9})\.", value) if isinstance(value, str) else None
    if found is None:
        raise ModelError(f"transformers_version={shown(value)} is not allowed; give one such as '5.24.0'")
    return int(found[1])


def _is_gated(raw: Mapping[str, Any], default: str) -> bool:
    """Whether the feed-forward network is gated. is_gated_act and dense_act_fn override ``feed_forward_proj``."""
    said = raw.get("feed_forward_proj", default)
    if said not in ACTIVATIONS.values():
        raise ModelError(f"feed_forward_proj {shown(said)} is not known; known: relu, gated-gelu")
    by_name = {name: key for key, name in ACTIVATIONS.items()}
    gated, activation = by_name[said]
    gated = _flag(raw, "is_gated_act", gated)
    activation = raw.get("dense_act_fn", activation)
    if not isinstance(activation, str) or (gated, activation) not in ACTIVATIONS:
        raise ModelError(
            f"is_gated_act={shown(gated)} with dense_act_fn={shown(activation)} is not known beside feed_forward_proj="
            f"{shown(said)}; known: false with relu, true with gelu_new"
        )
    return gated
