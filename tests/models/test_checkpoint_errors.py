"""A folder that is no T5 checkpoint is answered with one line that names what is wrong with it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from strategies import ModelError, ModelSpec, config_of, load_model

D, H, K, F, V, BUCKETS = 6, 2, 5, 7, 11, 8
CONFIG = {
    "model_type": "t5",
    "vocab_size": V,
    "d_model": D,
    "num_heads": H,
    "d_kv": K,
    "d_ff": F,
    "num_layers": 1,
    "relative_attention_num_buckets": BUCKETS,
}
INNER = {"q": (H * K, D), "k": (H * K, D), "v": (H * K, D), "o": (D, H * K)}


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of a T5 with one layer a side, as the checkpoints of T5 name them."""
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (V, D)}
    for side in ("encoder", "decoder"):
        attentions = ["SelfAttention"] if side == "encoder" else ["SelfAttention", "EncDecAttention"]
        layer = f"{side}.block.0.layer"
        for i, attention in enumerate(attentions):
            shapes |= {f"{layer}.{i}.{attention}.{x}.weight": shape for x, shape in INNER.items()}
            shapes[f"{layer}.{i}.layer_norm.weight"] = (D,)
        shapes[f"{layer}.0.SelfAttention.relative_attention_bias.weight"] = (BUCKETS, H)
        last = len(attentions)
        shapes[f"{layer}.{last}.DenseReluDense.wi.weight"] = (F, D)
        shapes[f"{layer}.{last}.DenseReluDense.wo.weight"] = (D, F)
        shapes[f"{layer}.{last}.layer_norm.weight"] = (D,)
        shapes[f"{side}.final_layer_norm.weight"] = (D,)
    return shapes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound checkpoint, for each test to spoil."""
    path = tmp_path / "checkpoint"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file({name: torch.ones(shape) for name, shape in tensor_shapes().items()}, path / "model.safetensors")
    return path


def configure(folder: Path, **changes: Any) -> None:
    """Rewrite config.json; a value of ... removes the key."""
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))


def retensor(folder: Path, **changes: torch.Tensor | None) -> None:
    """Rewrite model.safetensors with some tensors changed; None removes one."""
    tensors = {**load_file(folder / "model.safetensors"), **changes}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / "model.safetensors")


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def shard(folder: Path, index: str) -> None:
    """Replace the single file by the text of a sharded index."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)


def assert_one_line(message: str, *named: str) -> None:
    assert "\n" not in message, message
    for name in named:
        assert name in message, f"{name!r} is not in {message!r}"


def test_the_unspoiled_folder_loads(folder: Path) -> None:
    assert load_model(folder).config == config_of(ModelSpec("any", "checkpoint", str(folder)))


CONFIG_ERRORS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no_config": (lambda folder: (folder / "config.json").unlink(), ("config.json", "does not exist")),
    "config_is_not_json": (lambda folder: (folder / "config.json").write_text("{"), ("config.json", "is not JSON")),
    "config_is_binary": (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe"), ("config.json", "not JSON")),
    "config_is_a_list": (lambda folder: (folder / "config.json").write_text("[1]"), ("config.json", "no JSON object")),
    "config_is_a_folder": (
        lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
        ("config.json",),
    ),
    "bart": (lambda folder: configure(folder, model_type="bart"), ("model_type 'bart'", "known: t5, mt5")),
    "no_model_type": (lambda folder: configure(folder, model_type=...), ("model_type None", "known: t5, mt5")),
    "activation": (
        lambda folder: configure(folder, feed_forward_proj="gated-silu"),
        ("feed_forward_proj 'gated-silu'", "known: relu, gated-gelu"),
    ),
    "no_size": (lambda folder: configure(folder, d_kv=...), ("config.json lacks d_kv",)),
    "size_is_text": (lambda folder: configure(folder, d_model="6"), ("d_model", "'6'")),
    "size_is_null": (lambda folder: configure(folder, num_heads=None), ("num_heads", "None")),
    "size_is_a_fraction": (lambda folder: configure(folder, d_ff=7.5), ("d_ff", "7.5")),
    "size_is_zero": (lambda folder: configure(folder, num_layers=0), ("layers=0",)),
    "eos_outside": (lambda folder: configure(folder, eos_token_id=V), (f"eos_id={V}", f"vocabulary of {V}")),
    "two_buckets": (lambda folder: configure(folder, relative_attention_num_buckets=2), ("relative_buckets=2",)),
    "near_max_distance": (
        lambda folder: configure(folder, relative_attention_max_distance=4),
        ("relative_max_distance=4",),
    ),
}


@pytest.mark.parametrize(("spoil", "named"), CONFIG_ERRORS.values(), ids=CONFIG_ERRORS)
def test_a_bad_config_is_named_with_and_without_its_weights(
    folder: Path, spoil: Callable[[Path], object], named: tuple[str, ...]
) -> None:
    spoil(folder)
    for read in (load_model, lambda path: config_of(ModelSpec("any", "checkpoint", str(path)))):
        with pytest.raises(ModelError) as caught:
            read(folder)
        assert_one_line(str(caught.value), *named)


QUERY = "encoder.block.0.layer.0.SelfAttention.q.weight"
WEIGHT_ERRORS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "no_weights": (lambda folder: (folder / "model.safetensors").unlink(), ("holds no model.safetensors",)),
    "missing_tensor": (lambda folder: retensor(folder, **{QUERY: None}), (QUERY, "is missing")),
    "untied_without_head": (
        lambda folder: configure(folder, tie_word_embeddings=False),
        ("lm_head.weight", "is missing"),
    ),
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
    "shard_missing": (
        lambda folder: shard(folder, '{"weight_map": {"shared.weight": "model-00001-of-00002.safetensors"}}'),
        ("model-00001-of-00002.safetensors",),
    ),
}


@pytest.mark.parametrize(("spoil", "named"), WEIGHT_ERRORS.values(), ids=WEIGHT_ERRORS)
def test_bad_weights_are_named(folder: Path, spoil: Callable[[Path], object], named: tuple[str, ...]) -> None:
    spoil(folder)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert_one_line(str(caught.value), *named)


@pytest.mark.parametrize("wrong", ["nowhere", "checkpoint/config.json"])
def test_a_path_that_is_no_folder_is_named(folder: Path, wrong: str) -> None:
    with pytest.raises(ModelError, match=re.escape(f"model.checkpoint={folder.parent / wrong} is not a folder")):
        load_model(folder.parent / wrong)


def test_a_checkpoint_asked_for_without_a_folder_says_what_to_give() -> None:
    with pytest.raises(ModelError, match=r"needs model\.checkpoint=DIR"):
        ModelSpec.of({"name": "t5", "source": "checkpoint", "checkpoint": None})


@pytest.mark.parametrize("alias", ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"])
def test_the_embedding_may_be_stored_under_the_name_of_either_stack(folder: Path, alias: str) -> None:
    values = torch.arange(V * D, dtype=torch.float32).view(V, D)
    retensor(folder, **{"shared.weight": None, alias: values})
    assert torch.equal(load_model(folder).embedding.weight, values)


@pytest.mark.parametrize("ids", [[], [1, 2]])
def test_a_list_of_end_tokens_is_refused_by_name(folder: Path, ids: list[int]) -> None:
    configure(folder, eos_token_id=ids)
    with pytest.raises(ModelError, match="eos_token_id") as caught:
        load_model(folder)
    assert_one_line(str(caught.value), "eos_token_id", str(ids))
