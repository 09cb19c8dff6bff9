"""A folder that is something else than one whole model is told by what it is, and what to do."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from strategies import ModelError, ModelSpec, config_of, load_model

CONFIG = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}


def files(folder: Path, *names: str) -> None:
    """Empty files, and a config.json where it is named."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(CONFIG) if path.name == "config.json" else "")


SIZED = {**CONFIG, "vocab_size": 9, "d_model": 4, "num_heads": 2, "d_kv": 2, "d_ff": 5, "num_layers": 1}
SNAPSHOT = "models--google--flan-t5-small/snapshots/0fc9/config.json"
KINDS: dict[str, tuple[Callable[[Path], object], str, tuple[str, ...]]] = {
    "adapter": (
        lambda at: files(at, "adapter_config.json", "adapter_model.safetensors"),
        ".",
        ("holds a LoRA adapter", "merge_and_unload()"),
    ),
    "adapter_beside_a_model": (
        lambda at: files(at, "adapter_config.json", "config.json", "model.safetensors"),
        ".",
        ("holds a LoRA adapter",),
    ),
    "cache_of_the_hub": (lambda at: files(at, SNAPSHOT), ".", ("is a cache of the Hugging Face hub", "snapshots/0fc9")),
    "one_model_of_the_cache": (lambda at: files(at, SNAPSHOT), SNAPSHOT.split("/")[0], ("hub", "snapshots/0fc9")),
    "above_the_cache": (lambda at: files(at, f"hub/{SNAPSHOT}"), ".", ("hub", "snapshots/0fc9")),
    "folder_of_checkpoints": (
        lambda at: files(at, "trainer_state.json", "checkpoint-500/config.json"),
        ".",
        ("config.json does not exist", "such as", "checkpoint-500"),
    ),
    "empty": (lambda at: None, ".", ("config.json does not exist", "as save_pretrained writes it")),
    "tensorflow": (
        lambda at: (files(at, "tf_model.h5"), (at / "config.json").write_text(json.dumps(SIZED))),
        ".",
        ("but tf_model.h5", "save the model as safetensors"),
    ),
    "hub_id": (
        lambda at: None,
        "google/flan-t5-small",
        ("google/flan-t5-small is not a folder", "hf download google/flan-t5-small --local-dir DIR"),
    ),
    "bare_hub_id": (lambda at: None, "t5-small", ("t5-small is not a folder", "hf download t5-small --local-dir DIR")),
    "file": (lambda at: files(at, "model.safetensors"), "./model.safetensors", ("is not a folder",)),
    "unknown_home": (lambda at: None, "~nobody-of-this-name/t5", ("~nobody-of-this-name/t5", "whole path")),
    "name_too_long": (lambda at: None, "x" * 300, ("File name too long", "...")),
    "zero_byte": (lambda at: None, "a\0b", ("is not a folder",)),
}


@pytest.mark.parametrize(("make", "given", "said"), KINDS.values(), ids=KINDS)
def test_what_a_folder_is_and_what_to_do_is_said_in_one_line(
    make: Callable[[Path], object], given: str, said: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    for read in (load_model, lambda path: config_of(ModelSpec("any", "checkpoint", path))):
        with pytest.raises(ModelError) as caught:
            read(given)
        assert "\n" not in str(caught.value)
        for words in said:
            assert words in str(caught.value)


def test_a_folder_of_pytorch_weights_is_converted_by_the_command_that_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's a model"
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**{**SIZED, "model_type": "t5"}))
    folder.mkdir()
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=re.escape("holds no model.safetensors, but pytorch_model.bin")) as caught:
        load_model(folder)
    python, flag, program, *arguments = shlex.split(str(caught.value).partition("convert it: ")[2])
    assert (python, flag) == ("python", "-c")
    monkeypatch.setattr(sys, "argv", ["-c", *arguments])
    exec(program, {})
    assert torch.equal(load_model(arguments[1]).embedding.weight, model.shared.weight)
    assert Path(arguments[1]).parent == tmp_path


def test_a_whisper_of_pytorch_weights_is_converted_as_a_model_of_speech(tmp_path: Path) -> None:
    files(tmp_path, "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    with pytest.raises(ModelError, match=r"import AutoModelForSpeechSeq2Seq as M"):
        load_model(tmp_path)
    assert "whisper" in transformers.models.auto.modeling_auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES


def test_a_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t5").mkdir()
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path}/t5/config.json does not exist")):
        load_model("~/t5")
