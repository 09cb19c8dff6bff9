"""A model whose logits are no numbers: each verb says so with a remedy, and nothing is ranked, advised or drawn."""

import math
from pathlib import Path

import pandas as pd
import pytest
import torch

import strategies
import suites.ledger.of_cell
import suites.measuring.arms
import suites.measuring.loaded
import suites.measuring.narrowing
from strategies import ModelSpec, Session, load_model, parse
from suites.__main__ import main
from suites.contenders.running.agreement import check_tokens
from suites.measuring.equality import _difference
from suites.measuring.narrowing import narrowing
from suites.probes.finite import NotFiniteError, require_finite
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs

from ...command import SMALL_MODEL

KEYS = [*SMALL_MODEL, "strategies=[full_recompute,static_kv]", "seq_len=4", "threads=1"]
DAMAGED = "the weight decoder.layers.0.ffn.wo.weight is not finite: the weights are damaged; save the checkpoint again"


def damaged(*given, **named):
    model = load_model(*given, **named)
    model.decoder.layers[0].ffn.wo.weight[0, 0] = math.nan
    return model


def overflowing(*given, **named):
    """float16 ends at 65504."""
    model = load_model(*given, **named)
    model.encoder.layers[0].ffn.wi.weight.fill_(6e4)
    return model


@pytest.fixture(params=[damaged])
def _loads(request, monkeypatch, tmp_path):
    for module in (strategies, suites.measuring.loaded, suites.measuring.narrowing, suites.ledger.of_cell):
        monkeypatch.setattr(module, "load_model", request.param)
    suites.measuring.loaded._kept.clear()
    monkeypatch.chdir(tmp_path)
    yield
    suites.measuring.loaded._kept.clear()


@pytest.mark.usefixtures("_loads")
@pytest.mark.parametrize(
    ("asked", "label"),
    [
        (["decode", "tea"], "full_recompute"),
        (["profile", *KEYS], "full_recompute"),
        (["shapes", *KEYS], "full_recompute"),
        (["shapes", "--explain", "--phrase", "tea"], "the teacher-forced pass"),
    ],
)
def test_a_verb_refuses_in_one_line(asked, label, capsys):
    assert main(asked) == 1
    said = capsys.readouterr().err
    assert f"step 1: logits of {label} are not finite (row 0 has nan); {DAMAGED}" in said
    assert said.count("\n") == 1


@pytest.mark.usefixtures("_loads")
@pytest.mark.parametrize(
    ("_loads", "keys", "remedy"),
    [
        (damaged, [], DAMAGED),
        (overflowing, ["dtype=fp16"], "float16 ends at 65504: give dtype=bf16 or dtype=fp32"),
        (damaged, ["weights=bf16", "batch_size=2"], DAMAGED),
    ],
    indirect=["_loads"],
)
def test_every_row_of_a_run_is_invalid_and_nothing_is_advised(keys, remedy, capsys):
    asked = [*KEYS, *keys, "contenders=[transformers_dynamic]", "measure=quick", "hydra.run.dir=run"]
    assert main(["run", *asked]) == 1
    said = capsys.readouterr().out
    table = pd.read_csv("run/table.csv")
    assert table["status"].tolist() == ["invalid"] * 3
    assert table["max_logit_error"].isna().all()
    (reason,) = set(table["reason"])
    assert reason.startswith("step 1: logits of full_recompute are not finite (row 0 has ")
    assert remedy in reason
    assert "which to use" not in said
    assert "equal: " not in said
    assert not Path("run/advice.txt").read_text()


def test_an_infinite_logit_is_within_no_tolerance():
    """Of an infinite logit any share is infinite, and no error is larger."""
    finite, infinite = torch.zeros(1, 3), torch.tensor([[0.0, math.inf, 0.0]])
    assert _difference(infinite, finite, 1e-4)[1].startswith("logits of row 0 differ by inf")
    with pytest.raises(NotFiniteError, match="row 1 has -inf"):
        require_finite(torch.cat([finite, -infinite]), load_model(ModelSpec("p", "pronounce")), "x", 1)


def test_what_is_judged_by_a_damaged_model_does_not_pass():
    """Tokens of a contender, among them the first of logits that are all NaN; narrower weights."""
    shape = {"vocab_size": 29, "d_model": 16, "num_heads": 1, "d_kv": 8, "d_ff": 8, "encoder_layers": 1}
    spec = ModelSpec("sliver", "random", shape=tuple(sorted({**shape, "decoder_layers": 1}.items())))
    cell = Cell(spec, 3, 2, 1, "cpu", "fp32", 1, 0, "fixed")
    model = damaged(spec)
    inputs = make_inputs(cell, model.config)
    arm = suites.measuring.arms.StrategyArm(parse("full_recompute"), model, inputs, cell)
    with pytest.raises(NotFiniteError):
        check_tokens(arm, [[0, 0]], "fp32", True)
    with pytest.raises(NotFiniteError):
        narrowing(Session(load_model(spec), parse("static_kv"), 1, 3, 2), model, inputs, spoken=False)
