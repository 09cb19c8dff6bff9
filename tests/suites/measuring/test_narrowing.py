"""``weights=bf16|int8``: what it changes is measured, recorded and told; what cannot be is refused."""

import copy
import dataclasses
from types import SimpleNamespace

import pytest

from strategies import ModelSpec, Session, load_model, parse
from strategies.models.kernels.narrow import use_weights
from suites.__main__ import main
from suites.measuring import narrowing as module
from suites.measuring.narrowing import narrowing, narrowings
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.tables.table_files import read_tables
from suites.telling.choices_told import narrowing_told
from suites.work.formulas import formulas
from suites.work.necessary import necessary

SPEC = ModelSpec("pronounce", "pronounce")
CELL = Cell(SPEC, 12, 8, 2, "cpu", "fp32", 1, 0, "fixed")


@pytest.fixture(scope="module")
def models():
    whole = load_model(SPEC)
    narrow = copy.deepcopy(whole)
    use_weights(narrow, "int8")
    return narrow, whole


def session_of(model):
    return Session(model, parse("static_kv"), CELL.batch_size, CELL.src_len, CELL.tgt_len)


def test_the_same_model_is_not_off_at_all(models, monkeypatch):
    monkeypatch.setattr(module, "WORDS", 4)
    whole = models[1]
    found = narrowing(session_of(whole), whole, make_inputs(CELL, whole.config), spoken=True)
    assert (found.logit_error, found.choices_equal, found.per) == (0.0, 1.0, found.per_fp32)


def test_int8_is_off_by_a_few_hundredths_of_the_largest_logit(models, monkeypatch):
    monkeypatch.setattr(module, "WORDS", 40)
    found = narrowing(session_of(models[0]), models[1], make_inputs(CELL, models[1].config), spoken=True)
    assert 0 < found.logit_error < 0.05 * found.logit_max
    assert found.choices_equal > 0.9
    assert abs(found.per - found.per_fp32) < 0.05
    assert found.words == 40


def test_each_execution_that_is_timed_is_measured_by_its_own_session(models):
    """The session that stands for the compiled one here is of the whole weights, so it is off by nothing."""
    narrow, whole = models
    inputs = make_inputs(CELL, whole.config)

    def arm(model, label):
        return SimpleNamespace(label=label, strategy=parse(label), session=session_of(model))

    eager, compiled = arm(narrow, "static_kv"), arm(whole, "static_kv(execution=compiled,read=bucket)")
    both = narrowings([eager, compiled], whole, inputs, spoken=False)
    assert both["narrowing"].logit_error > 0
    assert both["narrowing_compiled"].logit_error == 0
    assert set(narrowings([compiled], whole, inputs, spoken=False)) == {"narrowing_compiled"}
    cell = {"weights": "int8", "batch_size": 2, "src_len": 12, "tgt_len": 8}
    told = narrowing_told([SimpleNamespace(cell=cell | {name: dataclasses.asdict(one) for name, one in both.items()})])
    assert [", compiled steps, beside fp32: logits within 0 " in line for line in told] == [False, True]


@pytest.mark.parametrize(("weights", "share"), [("int8", 4), ("bf16", 2)])
def test_a_step_reads_narrower_weights_and_the_same_kv(models, weights, share):
    whole, narrow = (
        formulas(models[1].config, dataclasses.replace(CELL, weights=kind), parse("static_kv"))
        for kind in ("", weights)
    )
    assert narrow.weight_bytes == [step // share for step in whole.weight_bytes]
    assert (narrow.self_kv_bytes, narrow.cross_kv_bytes) == (whole.self_kv_bytes, whole.cross_kv_bytes)
    assert narrow.prefill_bytes < whole.prefill_bytes
    assert narrow.step_flops == whole.step_flops


@pytest.mark.parametrize("width", [None, 1, 4])
def test_what_bounds_contenders_knows_nothing_of_narrower_weights(models, width):
    config = models[1].config
    whole, narrow = (necessary(config, dataclasses.replace(CELL, weights=kind), width) for kind in ("", "int8"))
    assert (narrow.weight_bytes, narrow.prefill_bytes) == (whole.weight_bytes, whole.prefill_bytes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["weights=int4"], "weights=int4 is not allowed; give one of fp32, bf16, int8, or null"),
        (["weights=int8", "dtype=bf16"], "weights=int8 is not allowed with dtype=bf16; give dtype=fp32"),
        (
            ["weights=int8", "linear=auto"],
            "linear=auto is not allowed with weights=int8, which has a kernel of its own",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked, message, capsys):
    assert main(["run", *asked]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_run_records_and_tells_what_int8_changed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "WORDS", 4)
    asked = ["strategies=[full_recompute,static_kv]", "seq_len=4", "measure=quick", "threads=1", "hydra.run.dir=run"]
    assert main(["run", *asked, "weights=int8", "report=false", "plots=false"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "weights=int8, batch 1, 4 -> 4 tokens, beside fp32: logits within 0." in said
    assert "(fp32) on 4 held-out words, by eager steps" in said
    table = read_tables(tmp_path / "run")[0]
    assert set(table["weights"]) == {"int8"}
    assert set(table["status"]) == {"ok"}
