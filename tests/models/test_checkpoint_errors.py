"""A folder that is no T5 checkpoint is answered with one line that names what is wrong with it."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from strategies import ModelError, ModelSpec, config_of, load_model
from strategies.models.checkpoints.regular_file import JSON_LIMIT_BYTES

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


def generation(folder: Path, content: dict[str, Any]) -> None:
    (folder / "generation_config.json").write_text(json.dumps(content))


def write(folder: Path, config: str) -> None:
    (folder / "config.json").write_text(config)


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


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
    "size_is_nan": (lambda folder: configure(folder, d_model=float("nan")), ("d_model=nan",)),
    "size_is_zero": (lambda folder: configure(folder, num_layers=0), ("layers=0",)),
    "no_decoder_layers": (lambda folder: configure(folder, num_decoder_layers=0), ("num_decoder_layers=0",)),
    "flag_is_text": (lambda folder: configure(folder, tie_word_embeddings="no"), ("tie_word_embeddings='no'", "true")),
    "flag_is_a_number": (
        lambda folder: configure(folder, scale_decoder_outputs=1),
        ("scale_decoder_outputs=1", "true"),
    ),
    "epsilon_is_a_flag": (lambda folder: configure(folder, layer_norm_epsilon=False), ("layer_norm_epsilon=False",)),
    "epsilon_is_nan": (lambda folder: configure(folder, layer_norm_epsilon=float("nan")), ("layer_norm_epsilon=nan",)),
    "alias_contradicts": (lambda folder: configure(folder, hidden_size=7), ("hidden_size=7", "d_model=6")),
    "version_is_text": (lambda folder: configure(folder, transformers_version="new"), ("transformers_version='new'",)),
    "gated_contradicts": (
        lambda folder: configure(folder, is_gated_act=True),
        ("is_gated_act=True with dense_act_fn='relu'", "true with gelu_new"),
    ),
    "activation_contradicts": (
        lambda folder: configure(folder, dense_act_fn="gelu"),
        ("is_gated_act=False with dense_act_fn='gelu'", "false with relu"),
    ),
    "too_many_layers": (
        lambda folder: configure(folder, num_layers=10**9),
        ("num_layers=1000000000", f"hold {len(tensor_shapes())} tensors"),
    ),
    "too_wide": (lambda folder: configure(folder, d_model=10**9), (f"[{V}, {D}]", f"[{V}, {10**9}]")),
    "wider_than_any_integer": (lambda folder: configure(folder, d_ff=10**30), (f"d_ff={10**30}",)),
    "as_many_digits_as_python_reads": (
        lambda folder: configure(folder, num_heads=10**4000, d_kv=10**4000),
        ("num_heads=1000", "...", "from 1 to"),
    ),
    "farther_than_any_float": (
        lambda folder: configure(folder, relative_attention_max_distance=10**400),
        ("relative_attention_max_distance=1000", "from 1 to"),
    ),
    "too_many_digits": (lambda folder: write(folder, '{"d_model": ' + "1" * 5000 + "}"), ("too many digits",)),
    "too_deep": (lambda folder: write(folder, "[" * 100_000), ("nested too deeply",)),
    "pipe": (lambda folder: replace(folder / "config.json", os.mkfifo), ("config.json is a pipe or a device",)),
    "device": (
        lambda folder: replace(folder / "config.json", lambda path: path.symlink_to("/dev/zero")),
        ("config.json is a pipe or a device",),
    ),
    "huge": (
        lambda folder: os.truncate(folder / "config.json", JSON_LIMIT_BYTES + 1),
        (f"has {JSON_LIMIT_BYTES + 1:,} bytes",),
    ),
    "encoder_alone": (
        lambda folder: configure(folder, architectures=["T5EncoderModel"]),
        ("architectures names 'T5EncoderModel'", "give the folder of a T5ForConditionalGeneration"),
    ),
    "classifier": (
        lambda folder: configure(folder, architectures=["MT5ForSequenceClassification"]),
        ("architectures names 'MT5ForSequenceClassification'",),
    ),
    "architectures_are_a_number": (lambda folder: configure(folder, architectures=3), ("architectures=3",)),
    "quantized": (
        lambda folder: configure(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}),
        ("quantized ('bitsandbytes')", "dequantize()"),
    ),
    "eos_is_an_empty_list": (lambda folder: configure(folder, eos_token_id=[]), ("config.json: eos_token_id=[]",)),
    "eos_is_null": (
        lambda folder: configure(folder, eos_token_id=None),
        ("config.json has no eos_token_id", 'add it, as "eos_token_id": 1'),
    ),
    "eos_is_text": (lambda folder: configure(folder, eos_token_id=[1, "2"]), ("eos_token_id=[1, '2']",)),
    "eos_is_a_flag": (lambda folder: configure(folder, eos_token_id=True), ("eos_token_id=True",)),
    "pad_is_negative": (lambda folder: configure(folder, pad_token_id=-1), ("pad_token_id=-1",)),
    "start_is_a_list": (lambda folder: configure(folder, decoder_start_token_id=[0]), ("decoder_start_token_id=[0]",)),
    "one_of_several_eos_outside": (
        lambda folder: configure(folder, eos_token_id=[1, V]),
        (f"other_eos_ids={V}", f"vocabulary of {V}"),
    ),
    "forced_id": (
        lambda folder: configure(folder, forced_bos_token_id=3),
        ("config.json: forced_bos_token_id=3", "remove the key"),
    ),
    "generation_without_eos": (
        lambda folder: generation(folder, {"decoder_start_token_id": 0}),
        ("generation_config.json has no eos_token_id",),
    ),
    "generation_is_not_json": (
        lambda folder: (folder / "generation_config.json").write_text("{"),
        ("generation_config.json is not JSON", "remove this file"),
    ),
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
