"""Write a T5 of this package as a Hugging Face folder: config, weights, and a tokenizer whose words are ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from .checkpoints.t5 import t5_names
from .config import ModelConfig, ModelError
from .encoder_decoder import EncoderDecoder


def why_no_t5(config: ModelConfig) -> str:
    """Why a model of ``config`` cannot be a Hugging Face T5; "" if it can."""
    if config.architecture != "t5":
        return f"this model is of the architecture {config.architecture}"
    return "its K and V have fewer heads than its queries" if config.group > 1 else ""


def save_t5(model: EncoderDecoder, folder: Path) -> None:
    """Write ``model`` into ``folder`` as a float32 Hugging Face T5, which ``load_t5`` reads back bit for bit.

    Beside config.json and model.safetensors lies the smallest tokenizer that a converter accepts: the word of each id
    is its number, so "17" is token 17. Raises ModelError if the model is no T5.
    """
    from safetensors.torch import save_file

    config = model.config
    if reason := why_no_t5(config):
        raise ModelError(f"only a T5 can be saved as a Hugging Face folder; {reason}")
    names = t5_names(config)
    tensors: dict[str, torch.Tensor] = {}
    for ours, parameter in model.named_parameters():
        parts = parameter.detach().to("cpu", torch.float32).chunk(len(names[ours]))
        tensors |= {name: part.contiguous() for name, part in zip(names[ours], parts, strict=True)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name, content in (
        ("config.json", _config(config)),
        ("tokenizer.json", _tokenizer(config)),
        ("tokenizer_config.json", _tokenizer_config(config)),
    ):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")


def _config(config: ModelConfig) -> dict[str, Any]:
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
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
        "pad_token_id": config.pad_id,
        "eos_token_id": config.eos_id if len(config.eos_ids) == 1 else list(config.eos_ids),
        "decoder_start_token_id": config.start_id,
        "is_encoder_decoder": True,
        "dtype": "float32",
    }


def _tokenizer(config: ModelConfig) -> dict[str, Any]:
    vocabulary = {str(number): number for number in range(config.vocab_size)}
    empty = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": _unknown(config)}
    return {"version": "1.0", **dict.fromkeys(empty), "added_tokens": [], "model": model}


def _tokenizer_config(config: ModelConfig) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": str(config.eos_id),
        "pad_token": str(config.pad_id),
        "unk_token": _unknown(config),
    }


def _unknown(config: ModelConfig) -> str:
    """The unknown token. A tokenizer must name one, although no word is unknown to this one."""
    return str(config.vocab_size - 1)
