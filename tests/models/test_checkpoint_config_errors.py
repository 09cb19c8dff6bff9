"""A configuration that is no T5's is answered with one line that names what is wrong with it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from strategies import ModelError, ModelSpec, config_of, load_model
from strategies.models.checkpoints.regular_file import JSON_LIMIT_BYTES

from .spoiling import (
    D,
    V,
    assert_one_line,
    configure,
    generation,
    replace,
    tensor_shapes,
    write,
    write_sound,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sound(tmp_path / "checkpoint")


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
    "longt5": (
        lambda folder: configure(folder, model_type="longt5"),
        ("model_type 'longt5' is not known", "known: t5, mt5, umt5"),
    ),
    "no_model_type": (lambda folder: configure(folder, model_type=...), ("model_type None", "known: t5, mt5, umt5")),
    "model_type_is_a_list": (lambda folder: configure(folder, model_type=["t5"]), ("model_type ['t5'] is not known",)),
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
    "forced_id_outside": (
        lambda folder: configure(folder, forced_bos_token_id=V),
        (f"prefix_ids={V} lies outside",),
    ),
    "two_forced_ends": (
        lambda folder: configure(folder, forced_eos_token_id=[1, 2]),
        ("config.json: forced_eos_token_id=[1, 2]", "give one id"),
    ),
    "suppressed_ids_are_a_number": (
        lambda folder: configure(folder, suppress_tokens=3),
        ("config.json: suppress_tokens=3", "give a list of token ids"),
    ),
    "a_bad_word_is_a_number": (
        lambda folder: configure(folder, bad_words_ids=[3]),
        ("config.json: bad_words_ids=[3]", "give a list of lists"),
    ),
    "a_forced_token_without_its_place": (
        lambda folder: configure(folder, forced_decoder_ids=[[3]]),
        ("config.json: forced_decoder_ids=[[3]]", "[place, id]"),
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
