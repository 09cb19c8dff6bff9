"""A model of every architecture that has a family is saved as a folder, and read back by us and by other libraries."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from strategies import ModelConfig, ModelError, load_model
from strategies.models.checkpoints.shapes import parameter_shape
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import save_checkpoint, why_not_exported

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "d_model": 16,
    "num_heads": 2,
    "d_kv": 8,
    "d_ff": 24,
    "encoder_layers": 2,
    "decoder_layers": 2,
}
MOST = {"src_positions": 16, "tgt_positions": 16}
IDS = {"pad_id": 1, "eos_id": 2, "start_id": 2}
OF_MARIAN = {"architecture": "marian", **MOST, "pad_id": 39, "start_id": 39, "eos_id": 0}
OF_WHISPER = {"architecture": "whisper", "mel_bins": 5, "src_positions": 8, "tgt_positions": 14, "prefix_ids": (4, 5)}
FORMS: dict[str, dict[str, Any]] = {
    "marian": {**OF_MARIAN, "suppress_ids": (39,), "logits_bias": True},
    "marian of two vocabularies": {**OF_MARIAN, "src_vocab_size": 45, "forced_eos_id": 0},
    "bart": {"architecture": "bart", **MOST, **IDS, "logits_bias": True, "encoder_d_ff": 20},
    "bart untied": {"architecture": "bart", **MOST, **IDS, "src_vocab_size": 40, "tie_head": False},
    "bart of two numbers of heads": {"architecture": "bart", **MOST, **IDS, "encoder_heads": 4, "encoder_d_kv": 4},
    "mbart": {"architecture": "mbart", **MOST, **IDS, "start_id": 5, "scale_embedding": False},
    "m2m_100": {"architecture": "m2m_100", **IDS, "prefix_ids": (7,)},
    "pegasus": {"architecture": "pegasus", **MOST, "activation": "gelu_new"},
    "pegasus of stored positions": {"architecture": "pegasus", **MOST, "positions": "learned"},
    "whisper": {**OF_WHISPER, **IDS, "start_id": 3, "suppress_ids": (7, 8), "begin_suppress_ids": (9,)},
    "umt5": {"gated": True, "relative_per_layer": True},
}


@dataclass(frozen=True)
class Case:
    """A model, the folder that it was saved in, and a source."""

    name: str
    model: EncoderDecoder
    folder: Path
    source: Tensor


@pytest.fixture(scope="session", params=FORMS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, build: Any) -> Case:
    transformers.utils.logging.disable_progress_bar()
    config = ModelConfig(**{**SIZES, **FORMS[request.param]})
    model = build(config)
    if config.architecture == "marian":
        model.embedding.weight[config.pad_id] = 0
    if config.architecture == "whisper":
        for name, parameter in model.named_parameters():
            if name.endswith(("qkv.bias", "kv.bias")):  # its projection of keys has none
                parameter[-2 * config.inner : -config.inner] = 0
    folder = tmp_path_factory.mktemp("saved")
    save_checkpoint(model, folder)
    generator = torch.Generator().manual_seed(6)
    ids = torch.randint(3, 39, (3, 7), generator=generator)
    source = ids if config.mel_bins is None else torch.randn(3, config.mel_bins, 16, generator=generator)
    return Case(request.param, model, folder, source)


def test_a_saved_model_is_loaded_back_to_the_bit(case: Case) -> None:
    again = load_model(case.folder)
    assert again.config == case.model.config
    pairs = zip(again.named_parameters(), case.model.named_parameters(), strict=True)
    assert all(one == other and torch.equal(a, b) for (one, a), (other, b) in pairs)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone says what of a file is mapped into memory")
def test_no_file_of_a_loaded_model_stays_in_memory(case: Case) -> None:
    file = case.folder / "model.safetensors"
    model = load_model(case.folder)
    assert str(file) not in Path("/proc/self/maps").read_text()
    assert model.config == case.model.config


def test_the_shape_of_each_parameter_is_known_before_a_model_is_built(case: Case) -> None:
    for name, parameter in case.model.named_parameters():
        assert parameter_shape(case.model.config, name) == parameter.shape, name


def test_transformers_reads_a_saved_model(case: Case) -> None:
    name = json.loads((case.folder / "config.json").read_text())["architectures"][0]
    reference = getattr(transformers, name).from_pretrained(case.folder, attn_implementation="eager").eval()
    token_BN = torch.randint(3, 39, (3, 6), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        logits_BNV = reference(case.source, decoder_input_ids=token_BN).logits
    torch.testing.assert_close(case.model(case.source, None, token_BN), logits_BNV, rtol=1e-4, atol=1e-4)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no family": ({"architecture": "transformer2017"}, "of the architecture transformer2017"),
    "heads of keys and values": ({"num_kv_heads": 1}, "K and V have fewer heads than its queries"),
    "a norm of another place": ({"architecture": "bart", **MOST, "norm_first": True}, "normalize_before=True is not"),
    "another activation": ({"architecture": "t5", "activation": "silu"}, "it has activation=silu, and t5 has relu"),
    "heads of another size": ({"architecture": "bart", **MOST, "d_kv": 5}, "it has d_kv=5, and bart has 8"),
    "a bias": ({"architecture": "m2m_100", "logits_bias": True}, "its head has a bias, and m2m_100 has none"),
    "an embedding of its own": ({"architecture": "mbart", **MOST, "src_vocab_size": 40}, "it has src_vocab_size=40"),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_no_family_can_hold_is_refused_by_name(
    changes: dict[str, Any], said: str, tmp_path: Path, build: Callable[..., EncoderDecoder]
) -> None:
    config = ModelConfig(**{**SIZES, **changes})
    assert said in why_not_exported(config)
    with pytest.raises(ModelError, match="cannot be saved as a Hugging Face folder"):
        save_checkpoint(build(config), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_whisper_whose_keys_have_a_bias_is_refused(tmp_path: Path, build: Callable[..., EncoderDecoder]) -> None:
    with pytest.raises(ModelError, match=r"holds a bias of keys, which whisper has not"):
        save_checkpoint(build(ModelConfig(**{**SIZES, **FORMS["whisper"]})), tmp_path)
