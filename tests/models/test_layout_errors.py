"""A folder of BART's layout that is not sound is answered with one line that names what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from strategies import ModelConfig, ModelError, load_model
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import save_checkpoint

from .spoiling import assert_one_line

SIZES: dict[str, Any] = {
    "vocab_size": 11,
    "d_model": 6,
    "num_heads": 2,
    "d_kv": 3,
    "d_ff": 7,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "src_positions": 8,
    "tgt_positions": 8,
}
QUERY, POSITIONS = "model.encoder.layers.0.self_attn.q_proj.weight", "model.decoder.embed_positions.weight"
ERRORS: dict[str, tuple[dict[str, Any], dict[str, torch.Tensor | None], tuple[str, ...]]] = {
    "a type of another layout": (
        {"model_type": "nllb-moe"},
        {},
        ("model_type 'nllb-moe' is not known", "known: t5, mt5, umt5, marian, bart, mbart, m2m_100, pegasus, whisper"),
    ),
    "a class without a head": (
        {"architectures": ["BartForQuestionAnswering"]},
        {},
        ("which generates no text", "Bart"),
    ),
    "a norm of another place": ({"normalize_before": True}, {}, ("normalize_before=True is not what bart does",)),
    "heads that do not divide": (
        {"encoder_attention_heads": 4},
        {},
        ("d_model=6 is not a multiple of encoder_attention_heads=4",),
    ),
    "an activation": ({"activation_function": "tanh"}, {}, ("activation_function 'tanh' is not known", "known: relu")),
    "a size that is missing": ({"max_position_embeddings": ...}, {}, ("config.json lacks max_position_embeddings",)),
    "a size that contradicts": ({"num_hidden_layers": 2}, {}, ("num_hidden_layers=2 contradicts encoder_layers=1",)),
    "more positions": ({"max_position_embeddings": 9}, {}, ("embed_positions.weight has shape [10, 6]", "[11, 6]")),
    "a tensor that is missing": ({}, {QUERY: None}, (QUERY, "is missing")),
    "a tensor of another shape": ({}, {QUERY: torch.ones(6, 7)}, (QUERY, "[6, 7]", "[6, 6]")),
    "a tensor too many": ({}, {"model.decoder.layer_norm.weight": torch.ones(6)}, ("layer_norm.weight is stored",)),
    "a bias of another shape": ({}, {"final_logits_bias": torch.ones(11)}, ("final_logits_bias", "[11]", "[1, 11]")),
    "an untied head that is missing": ({"tie_word_embeddings": False}, {}, ("lm_head.weight is missing",)),
    "two embeddings of tied stacks": (
        {},
        {"model.encoder.embed_tokens.weight": torch.zeros(11, 6)},
        ("model.shared.weight and model.encoder.embed_tokens.weight differ",),
    ),
    "positions of a fixed type": ({}, {POSITIONS: torch.ones(10, 6, dtype=torch.int8)}, (POSITIONS, "stored as I8")),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, build: Callable[..., EncoderDecoder]) -> Path:
    folder = tmp_path_factory.mktemp("bart")
    save_checkpoint(build(ModelConfig(architecture="bart", **SIZES)), folder)
    return folder


@pytest.mark.parametrize(("keys", "tensors", "named"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_with_a_folder_is_named(
    keys: dict[str, Any], tensors: dict[str, torch.Tensor | None], named: tuple[str, ...], sound: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(sound, tmp_path / "spoiled")
    assert load_model(folder).config.architecture == "bart"
    raw = json.loads((folder / "config.json").read_text()) | keys
    (folder / "config.json").write_text(json.dumps({key: value for key, value in raw.items() if value is not ...}))
    changed = load_file(folder / "model.safetensors") | tensors
    save_file({name: one for name, one in changed.items() if one is not None}, folder / "model.safetensors")
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert_one_line(str(caught.value), str(folder), *named)
