"""Write a model of this package as a Hugging Face folder: configuration, weights, and a tokenizer whose words are ids.

The family is found by the model's architecture. What a family's ``config.json`` cannot say of a model is found by
reading back what would be written.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoints.families import family_of_architecture
from .checkpoints.family import Facts, Family
from .checkpoints.stored_names import EMBEDDING, LOGITS_BIAS
from .config import ModelConfig, ModelError
from .encoder_decoder import EncoderDecoder
from .export_tokenizer import tokenizer_files
from .held import plain

WRITTEN_BY_ALL = (
    "dropout", "logits_bias", "pad_id", "eos_id", "other_eos_ids", "start_id", "prefix_ids", "suppress_ids",
    "begin_suppress_ids", "forced_eos_id",
)  # fmt: skip
"""Fields that do not depend on the family's configuration."""


def why_not_exported(config: ModelConfig) -> str:
    """Why a model of ``config`` cannot be written as a Hugging Face folder; "" if it can."""
    family = family_of_architecture(config.architecture)
    if family is None:
        return f"this model is of the architecture {config.architecture}"
    if config.group > 1:
        return "its K and V have fewer heads than its queries"
    if config.logits_bias and not family.has_logits_bias:
        return f"its head has a bias, and {family.types[0]} has none"
    try:
        facts = family.facts(family.raw_config(config))
        again = ModelConfig(**{**facts.fields, **_unwritten(family, facts, config)})
    except ModelError as error:
        return str(error)
    for entry in fields(ModelConfig):
        ours, theirs = getattr(config, entry.name), getattr(again, entry.name)
        if ours != theirs:
            return f"it has {entry.name}={ours}, and {family.types[0]} has {theirs}"
    return ""


def _unwritten(family: Family, facts: Facts, config: ModelConfig) -> dict[str, Any]:
    """The fields that a folder's tensors and its ids settle, as they will be read."""
    found = {name: getattr(config, name) for name in WRITTEN_BY_ALL}
    found["tie_head"] = config.tie_head
    if family.tables is not None and {config.positions, config.for_encoder.positions} <= {"learned", "sinusoidal"}:
        found |= {name: getattr(config, name) for name in ("positions", "encoder_positions")}
    if facts.separate and config.src_vocab_size == config.vocab_size:
        found["src_vocab_size"] = config.src_vocab_size
    return found


def save_checkpoint(model: EncoderDecoder, folder: Path) -> None:
    """Write ``model`` into ``folder`` in float32, as a folder that ``load_checkpoint`` reads back bit for bit.

    Beside config.json and model.safetensors lies the smallest tokenizer that a converter accepts: the word of each id
    is its number, so "17" is token 17. Raises ModelError if no family can hold the model.
    """
    from safetensors.torch import save_file

    config = model.config
    family = family_of_architecture(config.architecture)
    if (reason := why_not_exported(config)) or family is None:
        raise ModelError(f"this model cannot be saved as a Hugging Face folder; {reason}")
    tensors = _tensors(family, model)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    files = {"config.json": {**family.raw_config(config), **_ids(config)}, **tokenizer_files(config)}
    if family.types[0] != "t5" or _choices(config):
        files["generation_config.json"] = _ids(config, False) | _choices(config)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")


def _tensors(family: Family, model: EncoderDecoder) -> dict[str, Tensor]:
    """The tensors of a model by the family's names. Raises ModelError if a part that it does not have is not zero."""
    names, found = family.names(model.config), {}
    for ours, parameter in model.named_parameters():
        whole = plain(parameter).to("cpu", torch.float32)
        for name, part in zip(names[ours], whole.chunk(len(names[ours])), strict=True):
            if name is not None:
                found[name] = part.contiguous()[None] if name == LOGITS_BIAS else part.contiguous()
            elif part.any():
                raise ModelError(f"{ours} holds a bias of keys, which {family.types[0]} has not; set it to 0")
    if family.facts(family.raw_config(model.config)).separate:  # then nothing is one with what is stored beside it
        embedding = found[str(names[EMBEDDING][0])]
        found = {name: embedding.clone() for name in (family.shared, *family.of_stacks)} | found
    return found


def _ids(config: ModelConfig, model: bool = True) -> dict[str, Any]:
    found = {
        "pad_token_id": config.pad_id,
        "eos_token_id": config.eos_id if len(config.eos_ids) == 1 else list(config.eos_ids),
        "decoder_start_token_id": config.start_id,
    }
    return {**found, "is_encoder_decoder": True, "dtype": "float32"} if model else found


def _choices(config: ModelConfig) -> dict[str, Any]:
    """The forced and suppressed tokens by their names in transformers; only those that the model has."""
    first, *more = (*config.prefix_ids, None)
    found = {
        "forced_bos_token_id": first if more == [None] else None,
        "forced_decoder_ids": [[i, number] for i, number in enumerate(config.prefix_ids, 1)] if more[1:] else None,
        "forced_eos_token_id": config.forced_eos_id,
        "suppress_tokens": list(config.suppress_ids) or None,
        "begin_suppress_tokens": list(config.begin_suppress_ids) or None,
    }
    return {key: value for key, value in found.items() if value is not None}
