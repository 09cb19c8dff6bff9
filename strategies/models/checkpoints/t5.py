"""A Hugging Face folder of the T5 family (T5, T5 v1.1, Flan-T5, ByT5, mT5): its names and shapes, and its weights.

Everything is checked in ``config.json`` and the headers of the files before anything of the model's size is allocated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..config import ModelConfig, ModelError
from ..encoder_decoder import EncoderDecoder
from .folder import GIVE, existing_folder, require_a_model, weight_files
from .regular_file import read_object
from .special_ids import special_ids
from .stamp import Stamp, is_settled, stamp_of
from .t5_config import T5Facts, t5_facts
from .tensors import StoredTensors

HEAD = "lm_head.weight"
EMBEDDING_NAMES = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
STRAYS = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)
"""Tensors that the first releases store and no version of transformers reads."""


@dataclass(frozen=True)
class T5Folder:
    """A folder whose configuration, names, shapes and types are sound; ``table`` is what ``t5_names`` returns."""

    path: Path
    config: ModelConfig
    stored: StoredTensors
    table: Mapping[str, list[str]]


_kept: dict[Path, tuple[Stamp, T5Folder]] = {}
"""The folder that was opened last, with the stamp that its files had: every cell of a sweep asks for it."""


def t5_names(config: ModelConfig, embedding: str = EMBEDDING_NAMES[0]) -> dict[str, list[str]]:
    """Our name of a parameter -> the T5 tensors that are stacked to make it; ``embedding`` is the embedding's name."""
    ffn = ["wi_0", "wi_1"] if config.gated else ["wi"]
    table = {
        "embedding.weight": [embedding],
        "encoder.final_norm.weight": ["encoder.final_layer_norm.weight"],
        "decoder.final_norm.weight": ["decoder.final_layer_norm.weight"],
    }
    if not config.tie_head:
        table["lm_head.weight"] = [HEAD]
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        relative = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        table[f"{side}.relative_biases.0.weight"] = [relative]
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


def t5_shape(config: ModelConfig, name: str) -> tuple[int, ...]:
    """The shape of a T5 tensor, by the module that its name ends with.

    >>> t5_shape(ModelConfig(40, 16, 2, 4, 32, 1, 1), "encoder.block.0.layer.0.SelfAttention.q.weight")
    (8, 16)
    """
    vocabulary, width, inner, feed_forward = config.vocab_size, config.d_model, config.inner, config.d_ff
    module = name.split(".")[-2]
    if module.endswith("layer_norm"):
        return (width,)
    if module == "relative_attention_bias":
        return (config.relative_buckets, config.num_heads)
    if module in ("q", "k", "v"):
        return (inner, width)
    if module == "o":
        return (width, inner)
    if module == "wo":
        return (width, feed_forward)
    return (feed_forward, width) if module.startswith("wi") else (vocabulary, width)


def open_t5(folder: str | Path) -> T5Folder:
    """Read and check everything about a folder except the values of its weights. Raises ModelError for any fault."""
    path = existing_folder(folder)
    require_a_model(path)
    raw = read_object(path / "config.json", GIVE)
    try:
        files = weight_files(path)
        stamp: Stamp = []
        with contextlib.suppress(OSError):  # such as of a name no file can have: reading says more
            stamp = stamp_of([path / "config.json", path / "generation_config.json", *files])
        if stamp and path in _kept and _kept[path][0] == stamp:
            return _kept[path][1]
        facts = t5_facts(raw)
        ids = special_ids(path, raw, facts.default_start)
        stored = StoredTensors(files)
        for key, layers in (("num_layers", facts.sizes["num_layers"]), ("num_decoder_layers", facts.decoder_layers)):
            if layers > len(stored.names):
                raise ModelError(f"config.json says {key}={layers}, and the files hold {len(stored.names)} tensors")
        config = facts.model_config(ids, tie_head=HEAD not in stored.names)
        embedding = _embedding_name(stored, facts)
        table = t5_names(config, embedding)
        _require_match(stored, config, table)
        if HEAD in stored.names and _is_tied(stored, facts, embedding):
            config = facts.model_config(ids, tie_head=True)
            table = t5_names(config, embedding)
    except ModelError as error:
        told = str(error)
        raise ModelError(told if str(path) in told else f"{path}: {told}") from None
    opened = T5Folder(path, config, stored, table)
    _kept.clear()
    if stamp and is_settled(stamp):
        _kept[path] = stamp, opened
    return opened


def _embedding_name(stored: StoredTensors, facts: T5Facts) -> str:
    """The name under which the embedding is stored: of tied tensors safetensors keeps one name, and it may be any."""
    names = (*EMBEDDING_NAMES, HEAD) if facts.tied else EMBEDDING_NAMES
    return next((name for name in names if name in stored.names), EMBEDDING_NAMES[0])


def _require_match(stored: StoredTensors, config: ModelConfig, table: Mapping[str, list[str]]) -> None:
    """Raise ModelError unless each tensor that the model reads is stored as it must be, and each stored one is read."""
    needed = [name for names in table.values() for name in names]
    missing = [name for name in needed if name not in stored.names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(f"tensor {missing[0]} is missing{more}; the checkpoint does not match its config.json")
    aliases = [name for name in EMBEDDING_NAMES if name in stored.names]
    unread = sorted(stored.names - {*needed, *aliases, *STRAYS})
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        quantized = any(name.endswith((".SCB", ".weight_format", ".absmax")) for name in unread)
        remedy = (
            "the weights are quantized: give the model as it was before"
            if quantized
            else "config.json describes no such tensor: give a config.json and weights that were saved together"
        )
        raise ModelError(f"tensor {unread[0]} is stored and nothing reads it{more}; {remedy}")
    for name in (*needed, *aliases):
        stored.require_float(name)
        stored.require_shape(name, t5_shape(config, name), "config.json")
    for name in aliases[1:]:
        if not stored.equal(aliases[0], name):
            raise ModelError(
                f"tensors {aliases[0]} and {name} differ; encoder and decoder share one embedding here: give a model "
                "that does"
            )


def _is_tied(stored: StoredTensors, facts: T5Facts, embedding: str) -> bool:
    """Whether a stored head is the embedding. Raises ModelError if versions of transformers would differ on that."""
    if embedding == HEAD:
        return True
    if not facts.tied:
        return False
    if stored.equal(HEAD, embedding):
        return True
    if facts.newest:
        return False
    raise ModelError(
        f"tensor {HEAD} differs from {embedding}, and tie_word_embeddings says that they are one; transformers 4 "
        f"ignores it, 5 uses it: remove {HEAD} from the file, or write tie_word_embeddings=false into config.json"
    )


def load_t5(folder: str | Path) -> EncoderDecoder:
    """Load a Hugging Face T5 folder (one file or shards, any float dtype) as a float32 model.

    Raises ModelError if the folder cannot be read as one.
    """
    opened = open_t5(folder)
    model = EncoderDecoder(opened.config)
    with torch.no_grad():
        for ours, parameter in model.named_parameters():
            parameter.copy_(torch.cat([opened.stored.read(name) for name in opened.table[ours]]))
    return model


def config_of_t5(folder: str | Path) -> ModelConfig:
    """The sizes of a folder's model, without reading its weights. Raises ModelError if the folder is not sound."""
    return open_t5(folder).config
