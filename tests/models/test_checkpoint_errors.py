"""Weights that are not those of the configuration are answered with one line that names what is wrong."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from strategies import ModelError, ModelSpec, config_of, load_model

from .spoiling import (
    D,
    H,
    K,
    V,
    assert_one_line,
    configure,
    replace,
    retensor,
    shard,
    truncate,
    write_sound,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sound(tmp_path / "checkpoint")


QUERY = "encoder.block.0.layer.0.SelfAttention.q.weight"
EMBEDDINGS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
WEIGHT_ERRORS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no_weights": (lambda folder: (folder / "model.safetensors").unlink(), ("holds no model.safetensors",)),
    "missing_tensor": (lambda folder: retensor(folder, **{QUERY: None}), (QUERY, "is missing")),
    "fewer_layers_stored": (
        lambda folder: configure(folder, num_decoder_layers=2),
        ("decoder.block.1.layer.0", "is missing and"),
    ),
    "wrong_shape": (
        lambda folder: retensor(folder, **{QUERY: torch.ones(H * K, D + 1)}),
        (QUERY, f"[{H * K}, {D + 1}]", f"[{H * K}, {D}]"),
    ),
    "transposed": (
        lambda folder: retensor(folder, **{"shared.weight": torch.ones(D, V)}),
        ("shared.weight", f"[{D}, {V}]", f"[{V}, {D}]"),
    ),
    "missing_dimension": (lambda folder: retensor(folder, **{QUERY: torch.ones(H * K * D)}), (QUERY, f"[{H * K * D}]")),
    "truncated": (lambda folder: truncate(folder / "model.safetensors", -40), ("model.safetensors",)),
    "header_truncated": (lambda folder: truncate(folder / "model.safetensors", 50), ("model.safetensors",)),
    "empty": (lambda folder: truncate(folder / "model.safetensors", 0), ("model.safetensors",)),
    "index_is_not_json": (lambda folder: shard(folder, "{"), ("model.safetensors.index.json", "is not JSON")),
    "index_without_map": (lambda folder: shard(folder, "{}"), ("model.safetensors.index.json", "weight_map")),
    "index_of_a_list": (lambda folder: shard(folder, '{"weight_map": [1]}'), ("index.json", "weight_map")),
    "shard_outside": (
        lambda folder: shard(folder, '{"weight_map": {"shared.weight": "../other/model.safetensors"}}'),
        ("'../other/model.safetensors'", "within the folder"),
    ),
    "shard_elsewhere": (
        lambda folder: shard(folder, '{"weight_map": {"shared.weight": "/etc/passwd"}}'),
        ("'/etc/passwd'", "within the folder"),
    ),
    "shard_of_a_name_too_long": (
        lambda folder: shard(folder, json.dumps({"weight_map": {"shared.weight": "x" * 300}})),
        ("cannot read", "xxx", "name too long"),
    ),
    "shard_without_a_name": (lambda folder: shard(folder, '{"weight_map": {"shared.weight": ""}}'), ("names ''",)),
    "tensor_in_two_shards": (
        lambda folder: (
            shutil.copy(folder / "model.safetensors", folder / "a"),
            shutil.copy(folder / "model.safetensors", folder / "b"),
            shard(folder, '{"weight_map": {"shared.weight": "a", "encoder.final_layer_norm.weight": "b"}}'),
        ),
        ("is both in",),
    ),
    "weights_are_a_pipe": (
        lambda folder: replace(folder / "model.safetensors", os.mkfifo),
        ("model.safetensors is a pipe or a device",),
    ),
    "weights_are_a_device": (
        lambda folder: replace(folder / "model.safetensors", lambda path: path.symlink_to("/dev/zero")),
        ("model.safetensors is a pipe or a device",),
    ),
    "lfs_pointer": (
        lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid 1\n"),
        ("is a Git LFS pointer of 49 bytes", "git lfs pull"),
    ),
    "integers": (
        lambda folder: retensor(folder, **{QUERY: torch.ones(H * K, D, dtype=torch.int8)}),
        (QUERY, "stored as I8", "F32, F64, BF16, F16"),
    ),
    "flags": (
        lambda folder: retensor(folder, **{QUERY: torch.ones(H * K, D, dtype=torch.bool)}),
        (QUERY, "stored as BOOL"),
    ),
    "complex": (
        lambda folder: retensor(folder, **{QUERY: torch.ones(H * K, D, dtype=torch.complex64)}),
        (QUERY, "stored as C64"),
    ),
    "float8": (
        lambda folder: retensor(folder, **{QUERY: torch.ones(H * K, D).to(torch.float8_e4m3fn)}),
        (QUERY, "stored as F8_E4M3"),
    ),
    "scales_of_8_bits": (
        lambda folder: retensor(folder, **{QUERY.replace("weight", "SCB"): torch.ones(H * K)}),
        ("SCB is stored", "quantized: give the model as it was before"),
    ),
    "another_layer": (
        lambda folder: retensor(folder, **{QUERY.replace("block.0", "block.1"): torch.ones(H * K, D)}),
        ("encoder.block.1.layer.0.SelfAttention.q.weight is stored", "nothing reads it"),
    ),
    "other_tensors": (
        lambda folder: retensor(folder, bias=torch.ones(1), scale=torch.ones(1)),
        ("tensor bias is stored and nothing reads it (and 1 more)",),
    ),
    "other_encoder_embedding": (
        lambda folder: retensor(folder, **{EMBEDDINGS[0]: torch.zeros(V, D)}),
        ("shared.weight and encoder.embed_tokens.weight differ",),
    ),
    "two_embeddings_alone": (
        lambda folder: retensor(
            folder, **{"shared.weight": None, EMBEDDINGS[0]: torch.zeros(V, D), EMBEDDINGS[1]: torch.ones(V, D)}
        ),
        ("encoder.embed_tokens.weight and decoder.embed_tokens.weight differ",),
    ),
    "untied_head_alone": (
        lambda folder: (
            configure(folder, tie_word_embeddings=False),
            retensor(folder, **{"shared.weight": None, "lm_head.weight": torch.ones(V, D)}),
        ),
        ("shared.weight is missing",),
    ),
    "head_that_transformers_4_ignores": (
        lambda folder: retensor(folder, **{"lm_head.weight": torch.zeros(V, D)}),
        ("lm_head.weight differs from shared.weight", "tie_word_embeddings=false"),
    ),
    "shard_missing": (
        lambda folder: shard(folder, '{"weight_map": {"shared.weight": "model-00001-of-00002.safetensors"}}'),
        ("model-00001-of-00002.safetensors",),
    ),
}


@pytest.mark.parametrize(("spoil", "named"), WEIGHT_ERRORS.values(), ids=WEIGHT_ERRORS)
def test_bad_weights_are_named(folder: Path, spoil: Callable[[Path], object], named: tuple[str, ...]) -> None:
    spoil(folder)
    for read in (load_model, lambda path: config_of(ModelSpec("any", "checkpoint", str(path)))):
        with pytest.raises(ModelError) as caught:
            read(folder)
        assert_one_line(str(caught.value), *named)


def test_a_value_beyond_float32_is_named_once_it_is_read(folder: Path) -> None:
    retensor(folder, **{QUERY: torch.full((H * K, D), -1e300, dtype=torch.float64)})
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert_one_line(str(caught.value), QUERY, "1e+300", "float32")


def test_a_value_beyond_float16_is_named_where_float16_is_asked_for(folder: Path) -> None:
    retensor(folder, **{QUERY: torch.full((H * K, D), 1e5)})
    with pytest.raises(ModelError) as caught:
        load_model(folder, dtype=torch.float16)
    assert_one_line(str(caught.value), "self_attn.qkv.weight", "1e+05", "dtype=bf16")


@pytest.mark.parametrize("wrong", ["nowhere", "checkpoint/config.json"])
def test_a_path_that_is_no_folder_is_named(folder: Path, wrong: str) -> None:
    with pytest.raises(ModelError, match=re.escape(f"model.checkpoint={folder.parent / wrong} is not a folder")):
        load_model(folder.parent / wrong)


def test_a_checkpoint_asked_for_without_a_folder_says_what_to_give() -> None:
    with pytest.raises(ModelError, match=r"needs model\.checkpoint=DIR"):
        ModelSpec.of({"name": "t5", "source": "checkpoint", "checkpoint": None})


@pytest.mark.parametrize("alias", [*EMBEDDINGS, "lm_head.weight"])
def test_the_embedding_may_be_stored_under_the_name_of_either_stack(folder: Path, alias: str) -> None:
    values = torch.arange(V * D, dtype=torch.float32).view(V, D)
    retensor(folder, **{"shared.weight": None, alias: values})
    assert torch.equal(load_model(folder).embedding.weight, values)
