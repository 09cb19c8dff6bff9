"""``run model=t5 model.checkpoint=DIR``: a reader's own T5 folder, and what is said of a broken one."""

import json
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from suites.__main__ import main
from tests.command import suites

QUIET = ["measure.warmup=0", "plots=false", "report=false"]


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


def test_a_checkpoint_is_known_by_its_content(folder, tmp_path, monkeypatch, capsys):
    """Two folders of one name, one of them by another path, and one whose model was trained on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for parent in ("a", "b", "c"):
        shutil.copytree(folder, tmp_path / parent / "final")
    _change(tmp_path / "b" / "final", lambda tensors: tensors["shared.weight"].mul_(2))

    def run(paths, out):
        asked = [f"model.checkpoint={paths}", "strategies=[static_kv]", "seq_len=2", "threads=1", "measure.rounds=2"]
        code = main(["run", "model=t5", *asked, f"hydra.sweep.dir={out}", f"hydra.run.dir={out}", *QUIET])
        return code, capsys.readouterr()

    code, said = run("a/final,b/final", "both")
    assert code == 0
    assert set(pd.read_csv("both/table.csv")["model"]) == {"a/final", "b/final"}
    assert set(pd.read_csv("both/steps.csv")["model"]) == {"a/final", "b/final"}
    assert set(pd.read_csv("both/roles.csv")["model"]) == {"a/final", "b/final"}
    titles = [line for line in said.out.splitlines() if line.startswith(("a/final on", "b/final on"))]
    assert len(titles) == 2
    assert f"model a/final: {tmp_path}/a/final, content " in " ".join(said.out.split())

    assert run(tmp_path / "a" / "final", "one")[0] == 0
    assert main(["compare", "both", "one", "--dir", "out"]) in (0, 1)
    assert set(pd.read_csv("out/compare.csv")["figure"]) >= {"executed_flops", "step_bytes"}

    _change(tmp_path / "a" / "final", lambda tensors: tensors["shared.weight"].mul_(3))
    assert run("a/final", "again")[0] == 0
    capsys.readouterr()
    assert main(["compare", "one", "again", "--dir", "out2"]) == 1
    assert "the runs share no case (differing in model.content (" in capsys.readouterr().err

    code, said = run("c/final,./c/final", "twice")
    assert code == 1
    assert "two jobs of this sweep would measure the same cell" in said.err
    shutil.copytree(tmp_path / "c" / "final", tmp_path / "d" / "final")
    code, said = run("c/final,d/final", "twice")
    assert code == 1
    assert "c/final and " in said.err
    assert "d/final hold the same model" in said.err


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda d: (d / "model.safetensors").unlink(), "holds no model.safetensors"),
        (lambda d: (d / "config.json").unlink(), "config.json does not exist"),
        (lambda d: (d / "model.safetensors").write_bytes(b"short"), "cannot read"),
        (lambda d: _change(d, lambda t: t.pop("shared.weight")), "tensor shared.weight is missing"),
        (lambda d: _reconfigure(d, model_type="longt5"), "model_type 'longt5' is not known; known: t5, mt5"),
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
