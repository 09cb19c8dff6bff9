"""``run model=t5 model.checkpoint=DIR``: a reader's own T5 folder, and what is said of a broken one."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from suites.__main__ import main
from tests.command import suites


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small T5 v1.0 checkpoint as ``save_pretrained`` writes it."""
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=71,
        d_model=24,
        d_kv=10,
        d_ff=40,
        num_layers=2,
        num_decoder_layers=1,
        num_heads=3,
        decoder_start_token_id=0,
    )
    path = tmp_path_factory.mktemp("checkpoint")
    T5ForConditionalGeneration(config).save_pretrained(path)
    return path


def test_a_checkpoint_is_measured_by_every_strategy(folder, tmp_path):
    chosen = ["model=t5", f"model.checkpoint={folder}", "seq_len=6", "batch_size=2", "measure=quick"]
    suites("run", *chosen, folder=tmp_path, check=True)
    table = pd.read_csv(tmp_path / "results" / "latest" / "table.csv")
    assert table["status"].tolist() == ["ok"] * 4
    assert table["max_logit_error"].max() < 1e-4
    cell = json.loads(next((tmp_path / "results" / "latest" / "cells").iterdir()).joinpath("cell.json").read_text())
    assert cell["model_config"]["d_kv"] == 10
    assert cell["model_config"]["encoder_layers"] == 2


def test_given_token_ids_set_the_batch_and_the_source_length(folder, tmp_path):
    (tmp_path / "ids.txt").write_text("5 6 7 1\n8,9,1\n")
    chosen = ["model=t5", f"model.checkpoint={folder}", "src_ids=ids.txt", "tgt_len=4", "strategies=[static_kv]"]
    suites("run", *chosen, "measure=quick", folder=tmp_path, check=True)
    table = pd.read_csv(tmp_path / "results" / "latest" / "table.csv")
    assert table[["model", "batch_size", "src_len", "real_fraction"]].values.tolist() == [[folder.name, 2, 4, 7 / 8]]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda d: (d / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda d: (d / "config.json").unlink(), "config.json does not exist"),
        (lambda d: (d / "model.safetensors").write_bytes(b"short"), "cannot read"),
        (lambda d: _change(d, lambda t: t.pop("shared.weight")), "tensor shared.weight is missing"),
        (lambda d: _reconfigure(d, model_type="bart"), "model_type 'bart' is not known; known: t5, mt5"),
        (lambda d: _reconfigure(d, d_ff=41), "has shape"),
        (lambda d: _reconfigure(d, num_layers=10**9), "config.json says num_layers=1000000000"),
        (lambda d: _reconfigure(d, architectures=["T5EncoderModel"]), "names 'T5EncoderModel'"),
        (lambda d: (d / "adapter_config.json").write_text("{}"), "holds a LoRA adapter"),
        (lambda d: (d / "model.safetensors").write_text("version https://git-lfs.github"), "is a Git LFS pointer"),
    ],
)
def test_a_broken_checkpoint_is_one_line(folder, tmp_path, monkeypatch, capsys, break_it, said):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    break_it(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["run", "model=t5", f"model.checkpoint={tmp_path}", "seq_len=4", "measure=quick"]) == 1
    captured = capsys.readouterr()
    told = [line for line in (captured.out + captured.err).splitlines() if said in line]
    assert told, captured.out + captured.err
    assert "Traceback" not in captured.err
    assert not list(elsewhere.iterdir()), "a run folder was made"


def _change(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def _reconfigure(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
