"""Cells in low precision: what their rows tell of float32, and where there is no reference."""

import contextlib
import dataclasses
import json
import weakref

import pytest
import torch

from strategies import Session, config_of, load_model, parse, select
from strategies.models.kernels.packing import unavailable_on
from suites.contenders.running.cache import digest
from suites.contenders.running.lineup import Contenders
from suites.measuring import admission, reference, runner
from suites.measuring.reference import RATIO, Reference
from suites.measuring.runner import run_cell
from suites.settings.config import MeasureConfig
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.telling.choices_told import float32_told
from suites.telling.summary import equality_told
from suites.words.progress import Progress
from suites.work.planning import effort, predict

from .one_cell import CELL, EVEN_CELL, measure
from .planted import Losing

ORACLE = parse("full_recompute")
LOW = dataclasses.replace(CELL, dtype="bf16")


def test_cells_in_float32_have_no_reference_and_are_judged_as_before(tmp_path, monkeypatch):
    monkeypatch.setattr(admission, "Reference", None)
    monkeypatch.setattr(runner, "why_too_large", lambda *given: "has no room")
    measure(select("core"), tmp_path)
    assert "fp32_reason" not in json.loads((tmp_path / "cells" / CELL.id / "cell.json").read_text())
    monkeypatch.undo()
    monkeypatch.setattr(admission, "Reference", None)
    results = measure(select("core"), tmp_path)
    assert {(result.status, result.fp32_error_ratio) for result in results.values()} == {("ok", None)}
    assert "fp32_reason" not in json.loads((tmp_path / "cells" / CELL.id / "cell.json").read_text())


@pytest.mark.parametrize(("weights", "linear"), [("bf16", "torch"), ("int8", "torch"), ("int8", "panel")])
def test_narrower_weights_are_held_to_their_own_values_in_float32(weights, linear, tmp_path):
    if why := unavailable_on("cpu", linear):
        pytest.skip(why)
    results = measure(
        [*select("core"), Losing()], tmp_path, dataclasses.replace(EVEN_CELL, weights=weights, linear=linear)
    )
    ratios = {label: result.fp32_error_ratio for label, result in results.items()}
    assert all(0 < ratios[strategy.label] <= RATIO for strategy in select("core"))
    assert results["losing"].status == "invalid"


def test_contenders_are_given_the_whole_weights(tmp_path):
    given = []

    class Watched(Contenders):
        @contextlib.contextmanager
        def line_up(self, cell, model, *arguments):
            given.append(digest(model))
            yield []

    cell = dataclasses.replace(EVEN_CELL, weights="bf16")
    with Progress(1, 1) as progress:
        contenders = Watched(["ctranslate2_float32"])
        run_cell(cell, [parse("static_kv")], MeasureConfig(rounds=2, warmup=0), tmp_path, progress, contenders)
    assert given == [digest(load_model(cell.model, seed=cell.seed))]


def read(folder):
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": LOW.id}]})
    return read_cells(folder)


def test_a_run_in_low_precision_tells_the_error_and_lets_go_of_the_reference_before_timing(tmp_path, monkeypatch):
    made, left = [], []

    class Watched(Reference):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(weakref.ref(self.arm.session.model))

    usual = admission.probed

    def probed(*given):
        left.extend(model() for model in made)
        return usual(*given)

    monkeypatch.setattr(admission, "Reference", Watched)
    monkeypatch.setattr(admission, "probed", probed)
    results = measure([*select("core"), Losing()], tmp_path, LOW)
    assert left == [None]
    assert results["losing"].status == "invalid"
    ratios = [results[strategy.label].fp32_error_ratio for strategy in select("core")]
    assert all(0 < ratio <= RATIO for ratio in ratios)
    cells = read(tmp_path)
    assert float32_told(cells) == []
    table = case_table(cells)
    assert table["fp32_error_ratio"].tolist()[:4] == ratios
    assert equality_told(table).endswith(f"; its error to float32 was at most {max(ratios):.2f} times full recompute's")


def no_room(monkeypatch):
    monkeypatch.setattr(reference, "why_too_large", lambda *given: "needs 9 GB")
    return "full_recompute in float32 needs 9 GB"


def fails_in_its_third_step(monkeypatch):
    usual = Session.step

    def step(session, token_B):
        if session.model.embedding.weight.dtype == torch.float32 and session._step.length == 3:
            raise torch.OutOfMemoryError("no room")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", step)
    return "out of memory: no room"


def cannot_be_made(monkeypatch):
    def refuse(*given):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(reference, "with_float32_decoder", refuse)
    return "out of memory: no room"


def has_no_oracle(monkeypatch):
    usual = Session.step

    def step(session, token_B):
        if session.strategy == ORACLE and session.model.embedding.weight.dtype == torch.bfloat16:
            raise torch.OutOfMemoryError("no room")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", step)
    return "full_recompute failed: out of memory: no room"


@pytest.mark.parametrize("missing", [no_room, fails_in_its_third_step, cannot_be_made, has_no_oracle])
def test_where_there_is_no_reference_the_tolerance_judges_and_the_reason_is_told(missing, tmp_path, monkeypatch):
    why = missing(monkeypatch)
    results = measure([*select("core"), Losing()], tmp_path, LOW)
    assert {results[name].status for name in ("cross_kv", "contiguous_kv", "static_kv")} == {"ok"}
    assert results["losing"].status == "invalid"
    assert {result.fp32_error_ratio for result in results.values()} == {None}
    cells = read(tmp_path)
    assert cells[0].cell["fp32_reason"] == why
    assert float32_told(cells) == [
        f"dtype=bf16, batch 2, 5 -> 6 tokens: strategies were not compared with float32: {why}"
    ]


def test_the_reference_is_one_more_decode_of_full_recompute_in_the_forecast():
    measured, chosen = MeasureConfig(rounds=2, warmup=0, aa=False), select("core")
    work = {dtype: effort(dataclasses.replace(CELL, dtype=dtype), chosen, measured).work for dtype in ("fp32", "bf16")}
    passes = {dtype: predict(dataclasses.replace(CELL, dtype=dtype), config_of(CELL.model), chosen) for dtype in work}
    rounds = {dtype: 4 * sum(total.work for total in passes[dtype].values()) for dtype in work}
    assert work["fp32"] == rounds["fp32"]
    assert work["bf16"] == rounds["bf16"] + passes["bf16"]["full_recompute"].work


def test_progress_comes_to_its_end_with_the_reference_and_without(tmp_path, monkeypatch):
    chosen, done = select("core"), []
    for missing in (False, True):
        if missing:
            no_room(monkeypatch)
        measured = MeasureConfig(rounds=2, warmup=0, aa=False)
        with Progress(effort(LOW, chosen, measured).work, 1) as progress:
            run_cell(LOW, chosen, measured, tmp_path, progress, Contenders())
            done.append(progress._line.done / progress._line.total)
    assert done == pytest.approx([1, 1])
