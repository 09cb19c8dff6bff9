"""Mutated checkpoint folders: whatever is in one, it loads, or a ``ModelError`` of one line says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from strategies import ModelConfig, ModelError, ModelSpec, config_of, load_model
from strategies.models.checkpoints.shapes import parameter_shape
from strategies.models.checkpoints.t5 import t5_names

from .examples import many

SIZES = ModelConfig(
    vocab_size=7, d_model=4, num_heads=2, d_kv=2, d_ff=3, encoder_layers=1, decoder_layers=1, relative_buckets=4
)
CONFIG = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "vocab_size": 7,
    "d_model": 4,
    "num_heads": 2,
    "d_kv": 2,
    "d_ff": 3,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "relative_attention_num_buckets": 4,
    "relative_attention_max_distance": 128,
    "feed_forward_proj": "relu",
    "dense_act_fn": "relu",
    "is_gated_act": False,
    "layer_norm_epsilon": 1e-6,
    "tie_word_embeddings": True,
    "scale_decoder_outputs": True,
    "transformers_version": "5.24.0",
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
GENERATION = {"decoder_start_token_id": 0, "eos_token_id": [1, 2], "pad_token_id": 0, "transformers_version": "5.24.0"}
OTHER_KEYS = ["quantization_config", "hidden_size", "head_dim", "forced_bos_token_id", "bos_token_id", "auto_map", ""]
OTHER_KEYS += ["forced_eos_token_id", "suppress_tokens", "bad_words_ids", "forced_decoder_ids"]
PARTS = {ours: [str(name) for name in parts] for ours, parts in t5_names(SIZES).items()}
NAMES = [name for parts in PARTS.values() for name in parts]
TENSORS_AS_SAVED = {
    name: part.contiguous()
    for ours, parts in PARTS.items()
    for name, part in zip(parts, torch.ones(parameter_shape(SIZES, ours)).chunk(len(parts)), strict=True)
}
WEIGHTS = save(TENSORS_AS_SAVED, metadata={"format": "pt"})
HEADER_END = 8 + int.from_bytes(WEIGHTS[:8], "little")
HEADER = json.loads(WEIGHTS[8:HEADER_END])
INDEX = {"metadata": {"total_size": 4}, "weight_map": dict.fromkeys(NAMES, "model-00001-of-00001.safetensors")}

NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 4, 7, 8, 2**31, 2**63, 10**30, 10**400]) | st.integers()
LEAVES = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.floats()
    | st.sampled_from(["", "no", "t5", "mt5", "relu", "gated-gelu", "gelu_new", "4.46.0", "5.", "../x", "/abs", "a\n"])
    | st.text(max_size=5)
)
VALUES = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(max_size=3), LEAVES, max_size=2)


@st.composite
def changed(draw: st.DrawFn, content: dict[str, Any], more_keys: list[str], values: Any = VALUES) -> bytes:
    """A JSON object with up to three entries changed, added or left out."""
    content = dict(content)
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from([*content, *more_keys]))
        if draw(st.integers(0, 4)) == 0:
            content.pop(key, None)
        else:
            content[key] = draw(values)
    return json.dumps(content).encode("utf-8", "surrogatepass")


@st.composite
def spoiled(draw: st.DrawFn, content: Any) -> bytes:
    """The bytes, at times cut, overwritten or lengthened at a few places."""
    data = bytearray(draw(content))
    if draw(st.integers(0, 3)):
        return bytes(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["cut", "overwrite", "insert"])):
            case "cut":
                del data[place:]
            case "overwrite":
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[place:place] = draw(
                    st.binary(min_size=1, max_size=9) | st.sampled_from([b"[" * 5000, b"1" * 5000])
                )
    return bytes(data)


TENSORS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F64", "F16", "BF16", "I8", "BOOL", "F8_E4M3", "C64", "F4", "?"]),
        "shape": st.lists(st.integers(0, 7) | NUMBERS, max_size=3),
        "data_offsets": st.tuples(st.integers(0, 900), st.integers(0, 900)) | st.lists(NUMBERS, max_size=3),
    }
)


@st.composite
def weights(draw: st.DrawFn) -> bytes:
    """A safetensors file whose header is another, at times with the length that it had, or a length of no meaning."""
    header = draw(changed(HEADER, ["lm_head.weight", "encoder.embed_tokens.weight", "x.SCB"], TENSORS | VALUES))
    length = draw(st.sampled_from([len(header)] * 4 + [HEADER_END - 8, 0, 2**63]))
    return length.to_bytes(8, "little") + header + WEIGHTS[HEADER_END:]


SHARD, INDEX_NAME = "model-00001-of-00001.safetensors", "model.safetensors.index.json"
SOUND = {"config.json": json.dumps(CONFIG).encode()}
ONE_FILE = {**SOUND, "model.safetensors": WEIGHTS}
SHARDED = {**SOUND, SHARD: WEIGHTS, INDEX_NAME: json.dumps(INDEX).encode()}
SHARD_NAMES = st.dictionaries(st.sampled_from([*NAMES, "y"]), LEAVES, max_size=3)


@st.composite
def folders(draw: st.DrawFn) -> dict[str, bytes]:
    """A sound folder of one file or of shards, with one of its files changed, or two."""
    files = draw(st.sampled_from([ONE_FILE, SHARDED])).copy()
    weights_file = "model.safetensors" if "model.safetensors" in files else SHARD
    for _ in range(draw(st.integers(1, 2))):
        match draw(st.sampled_from(["config", "generation", "weights", "index"])):
            case "config":
                files["config.json"] = draw(spoiled(changed(CONFIG, OTHER_KEYS)))
            case "generation":
                files["generation_config.json"] = draw(spoiled(changed(GENERATION, OTHER_KEYS)))
            case "weights":
                files[weights_file] = draw(spoiled(weights() | st.just(WEIGHTS)))
            case "index":
                maps = SHARD_NAMES.map(lambda more: {**INDEX, "weight_map": {**INDEX["weight_map"], **more}})
                files[INDEX_NAME] = draw(spoiled(changed(INDEX, ["y"]) | maps.map(lambda m: json.dumps(m).encode())))
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoint")


def write(folder: Path, files: dict[str, bytes]) -> None:
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def attempt(read: Callable[[], object]) -> str:
    try:
        read()
    except ModelError as error:
        return str(error)
    return ""


def test_the_unchanged_folder_loads(folder: Path) -> None:
    write(folder, {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": WEIGHTS})
    assert load_model(folder).config == config_of(ModelSpec("any", "checkpoint", str(folder)))


@many(1000)
@given(files=folders())
def test_a_mutated_folder_loads_or_is_a_model_error_of_one_line(folder: Path, files: dict[str, bytes]) -> None:
    write(folder, files)
    told = attempt(lambda: config_of(ModelSpec("any", "checkpoint", str(folder))))
    told_of_weights = attempt(lambda: load_model(folder))
    assert "\n" not in told + told_of_weights
    assert told_of_weights or not told, "what is refused without its weights is refused with them"
