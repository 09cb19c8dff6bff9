"""What docs/scope.md says is answered to what cannot be had, is answered."""

import dataclasses
import json

import pytest
import torch

from strategies import ModelSpec, load_model
from strategies.models.export import save_checkpoint
from suites.__main__ import main
from suites.contenders.contender import Contender
from suites.contenders.running.lineup import why_not
from suites.settings.cells import make_cell
from suites.settings.overrides import compose_jobs, read_overrides
from suites.telling.beforehand import told
from tests.command import ROOT, SMALL_MODEL

TEXT = " ".join((ROOT / "docs" / "scope.md").read_text().split())
T5 = {"vocab_size": 61, "d_model": 24, "num_heads": 2, "d_kv": 8, "d_ff": 32, "encoder_layers": 1, "decoder_layers": 1}
REFUSED = [
    (
        ["model.architecture=bert"],
        "unknown architecture 'bert'; known: t5, transformer2017, marian, bart, mbart, m2m_100, pegasus, whisper",
    ),
    (["weights=int4"], "weights=int4 is not allowed; give one of fp32, bf16, int8, or null"),
    (["search.repetition_penalty=2"], "unknown key 'search.repetition_penalty'"),
    (["dtype=int8"], "dtype=int8 is not allowed; give one of fp32, bf16, fp16"),
    (["device=cuda:1"], "device=cuda:1 is not allowed; give one of auto, cpu, cuda"),
    (
        ["execution=compiled", "strategies=[full_recompute]"],
        "execution=compiled has no effect with strategies=full_recompute",
    ),
    (["contenders=[vllm]"], "unknown contender 'vllm'"),
]
NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")


def refused(arguments, text, capsys):
    """Whether ``run`` answers in one line that has the text, which the page has, too."""
    assert f"`{text}`" in TEXT
    assert main(["run", *arguments]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert text in line


@pytest.fixture
def checkpoint(tmp_path):
    """``checkpoint(file, **changes)``: a T5 folder in one of whose files some keys are others."""

    def make(file, **changes):
        save_checkpoint(load_model(ModelSpec("small", "random", shape=tuple(T5.items()))), tmp_path)
        path = tmp_path / file
        content = json.loads(path.read_text()) if path.exists() else {"eos_token_id": 1, "pad_token_id": 0}
        path.write_text(json.dumps({**content, "decoder_start_token_id": 0, **changes}))
        return ["model=t5", f"model.checkpoint={tmp_path}"]

    return make


def job_of(*arguments):
    (job,) = compose_jobs(read_overrides(["device=cpu", *arguments]))
    return job


@pytest.mark.parametrize(("arguments", "text"), REFUSED)
def test_what_is_not_done_is_refused_in_the_words_of_the_page(arguments, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused([*SMALL_MODEL, *arguments], text, capsys)
    assert not list(tmp_path.iterdir())


@NO_CUDA
def test_a_captured_step_without_cuda_is_refused(capsys):
    refused([*SMALL_MODEL, "execution=graph"], "execution=graph has no effect without a CUDA device", capsys)


def test_a_checkpoint_of_another_family_is_refused(checkpoint, capsys):
    refused(checkpoint("config.json", model_type="gpt2"), "model_type 'gpt2' is not known; known: t5, mt5", capsys)


def test_several_ends_of_which_one_is_forced_are_refused(checkpoint, capsys):
    forced = checkpoint("generation_config.json", forced_eos_token_id=[1, 2])
    refused(forced, "forced_eos_token_id=[1, 2] is not supported", capsys)


def test_beams_that_a_checkpoint_asks_for_are_told_and_not_followed(checkpoint):
    (line,) = told([job_of(*checkpoint("generation_config.json", num_beams=4)).config])
    assert "asks for num_beams=4, which is not followed here" in line
    assert "`asks for num_beams=4, which is not followed here`" in TEXT


def test_contenders_say_what_they_do_not_decode():
    model = load_model(ModelSpec("2017", "random", shape=tuple({**T5, "architecture": "transformer2017"}.items())))
    cell = make_cell(job_of(*SMALL_MODEL, "dtype=bf16").config)
    on_cuda = dataclasses.replace(cell, device="cuda")
    answers = [why_not(Contender, cell, model), Contender.outside(cell), Contender.outside(on_cuda)]
    texts = [
        "contenders read a Hugging Face folder, and this model is of the architecture transformer2017",
        "on cpu it is given fp32 weights, not bf16; give dtype=fp32",
        "it runs on cpu alone, not on cuda",
    ]
    for text, answer in zip(texts, answers, strict=True):
        assert f"`{text}`" in TEXT
        assert answer.startswith(text)
