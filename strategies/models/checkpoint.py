"""Weights from disk: a Hugging Face T5 folder, or this package's own safetensors file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .config import ModelConfig, ModelError
from .encoder_decoder import EncoderDecoder

KNOWN_TYPES = ("t5", "mt5")
EMBEDDING_NAMES = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
Read = Callable[[str], Tensor]


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; {remedy}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not JSON ({error}); {remedy}") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; {remedy}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object; {remedy}")
    return content


def t5_config(folder: Path, names: Mapping[str, Any]) -> ModelConfig:
    """ModelConfig of a T5 ``config.json``; ``names`` are the stored tensors, to tell a tied head from an untied."""
    raw = _read_json(
        folder / "config.json", "give a folder with config.json and model.safetensors, as save_pretrained writes it"
    )
    kind = raw.get("model_type")
    if kind not in KNOWN_TYPES:
        raise ModelError(f"{folder}: model_type {kind!r} is not known; known: {', '.join(KNOWN_TYPES)}")
    feed_forward = raw.get("feed_forward_proj", "relu")
    if feed_forward not in ("relu", "gated-gelu"):
        raise ModelError(f"{folder}: feed_forward_proj {feed_forward!r} is not known; known: relu, gated-gelu")
    missing = [key for key in ("vocab_size", "d_model", "num_heads", "d_kv", "d_ff", "num_layers") if key not in raw]
    if missing:
        raise ModelError(f"{folder}/config.json lacks {', '.join(missing)}; a T5 configuration has them")
    # Later transformers versions always write tie_word_embeddings=true and say by scale_decoder_outputs what v1.1
    # meant by it.
    tied = raw.get("tie_word_embeddings", True) is not False
    start = raw.get("decoder_start_token_id")
    eos = raw.get("eos_token_id", 1)
    if isinstance(eos, list):
        if len(eos) != 1:
            raise ModelError(f"{folder}/config.json: eos_token_id={eos} is not allowed; give one id")
        (eos,) = eos
    pad = raw.get("pad_token_id", 0) or 0
    try:
        return ModelConfig(
            vocab_size=raw["vocab_size"],
            d_model=raw["d_model"],
            num_heads=raw["num_heads"],
            d_kv=raw["d_kv"],
            d_ff=raw["d_ff"],
            encoder_layers=raw["num_layers"],
            decoder_layers=raw.get("num_decoder_layers") or raw["num_layers"],
            gated=feed_forward == "gated-gelu",
            tie_head=tied and "lm_head.weight" not in names,
            scale_head=raw.get("scale_decoder_outputs", tied),
            relative_buckets=raw.get("relative_attention_num_buckets", 32),
            relative_max_distance=raw.get("relative_attention_max_distance", 128),
            norm_eps=raw.get("layer_norm_epsilon", 1e-6),
            pad_id=pad,
            eos_id=eos,
            start_id=pad if start is None else start,
        )
    except ModelError as error:
        raise ModelError(f"{folder}/config.json: {error}") from None


def t5_names(config: ModelConfig, names: Collection[str] = ()) -> dict[str, list[str]]:
    """Our parameter name -> the T5 tensors that are stacked to make it.

    Of tied tensors safetensors keeps one name: the embedding may be stored under that of either stack.
    """
    embedding = next((name for name in EMBEDDING_NAMES if name in names), EMBEDDING_NAMES[0])
    ffn = ["wi_0", "wi_1"] if config.gated else ["wi"]
    table = {
        "embedding.weight": [embedding],
        "encoder.final_norm.weight": ["encoder.final_layer_norm.weight"],
        "decoder.final_norm.weight": ["decoder.final_layer_norm.weight"],
    }
    if not config.tie_head:
        table["lm_head.weight"] = ["lm_head.weight"]
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        relative = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        table[f"{side}.relative_bias.weight"] = [relative]
        for i in range(layers):
            ours, theirs = f"{side}.layers.{i}", f"{side}.block.{i}.layer"
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


def _tensor_files(folder: Path) -> dict[str, Path]:
    """Tensor name -> the file that holds it, for a single file or a sharded index."""
    if not folder.is_dir():
        raise ModelError(f"model.checkpoint={folder} is not a folder; give one with config.json and model.safetensors")
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        files = [single]
    elif index.exists():
        content = _read_json(index, "save the checkpoint again")
        shards = content.get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
            raise ModelError(f"{index} holds no weight_map of tensor names to files; save the checkpoint again")
        files = sorted({folder / name for name in shards.values()})
    else:
        raise ModelError(
            f"{folder} holds no model.safetensors and no model.safetensors.index.json; save the model as safetensors"
        )
    where = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                where.update(dict.fromkeys(opened.keys(), file))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"cannot read {file}: {error}; save the checkpoint again") from None
    return where


def load_t5(folder: str | Path) -> EncoderDecoder:
    """A Hugging Face T5 folder (one file or shards, any float dtype) as a float32 model. Raises ModelError."""
    folder = Path(folder).expanduser()
    where = _tensor_files(folder)
    config = t5_config(folder, where)
    table = t5_names(config, where)
    missing = [name for names in table.values() for name in names if name not in where]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(
            f"{folder}: tensor {missing[0]} is missing{more}; the checkpoint does not match its config.json"
        )
    model = EncoderDecoder(config)
    opened: dict[Path, Any] = {}

    def read(name: str) -> Tensor:
        path = where[name]
        if path not in opened:
            opened[path] = safe_open(path, framework="pt")
        tensor: Tensor = opened[path].get_tensor(name)
        return tensor

    with torch.no_grad():
        for ours, parameter in model.named_parameters():
            parts = [read(name) for name in table[ours]]
            shape = (parameter.shape[0] // len(parts), *parameter.shape[1:])
            for name, part in zip(table[ours], parts, strict=True):
                if part.shape != shape:
                    raise ModelError(
                        f"{folder}: tensor {name} has shape {list(part.shape)}, config.json asks for {list(shape)}"
                    )
            parameter.copy_(torch.cat(parts))
    return model


def load_own(path: Path, config: ModelConfig) -> EncoderDecoder:
    """A file that ``save_own`` wrote, as a float32 model of ``config``. Raises ModelError."""
    model = EncoderDecoder(config)
    try:
        with safe_open(path, framework="pt") as opened, torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(opened.get_tensor(name))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelError(f"cannot load {path}: {error}") from None
    return model


def save_own(model: EncoderDecoder, path: Path, dtype: torch.dtype, card: Mapping[str, str]) -> None:
    """Write every parameter once (a tied head is the embedding) with ``card`` as the file's metadata."""
    from safetensors.torch import save_file

    tensors = {name: p.detach().to(dtype).contiguous() for name, p in model.named_parameters()}
    save_file(tensors, path, metadata=dict(card))
