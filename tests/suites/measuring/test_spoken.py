"""The phoneme error by the search of a cell: measured for beam search of the embedded model alone, and written down."""

import json
from pathlib import Path

import pytest

from strategies import ModelSpec, load_model, parse
from strategies.models.pronounce.evaluate import error_rates
from strategies.search.options import Beam, Greedy, Sample
from suites.contenders.running.lineup import Contenders
from suites.jobs.cell_job import CellJob
from suites.jobs.planned import planned
from suites.measuring import spoken
from suites.measuring.runner import run_cell
from suites.measuring.spoken import is_spoken, phoneme_error
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.settings.overrides import compose_jobs, read_overrides
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.words.progress import Progress

from .one_cell import CELL, measure

PRONOUNCE = ModelSpec("pronounce", "pronounce")


def cell_of(search, model=PRONOUNCE):
    return Cell(model, 4, 3, 1, "cpu", "fp32", 1, 0, "fixed", search=search)


def measured(strategies, folder, cell):
    """The cell as it was written, after its strategies were measured."""
    measure([parse(label) for label in strategies], folder, cell)
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": cell.id}]})
    (done,) = read_cells(folder)
    return done


def test_only_beam_search_of_the_embedded_model_is_spoken():
    assert is_spoken(cell_of(Beam(1)))
    assert is_spoken(cell_of(Beam(4)))
    assert not any(is_spoken(cell_of(search)) for search in (Greedy(), Sample()))
    assert not is_spoken(cell_of(Beam(4), CELL.model))


def test_it_is_the_error_rate_by_the_search_of_the_cell(monkeypatch):
    monkeypatch.setattr(spoken, "WORDS", 60)
    model = load_model(PRONOUNCE)
    found = phoneme_error(cell_of(Beam(3, length_penalty=-2.0)), model)
    wanted = error_rates(model, 1, 60, search=Beam(3, length_penalty=-2.0)).per
    assert found == {"phoneme_error": wanted, "phoneme_error_words": 60}
    assert wanted != error_rates(model, 1, 60, search=Beam(3)).per


def test_a_failure_is_a_reason_and_the_cell_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(spoken, "WORDS", 0)  # no phrase can be made of no words
    done = measured(["static_kv"], tmp_path, cell_of(Beam(2)))
    assert [arm.status for arm in done.arms] == ["ok"]
    assert done.cell["phoneme_error_reason"].startswith("cannot make a phrase of 1 words out of 0 held-out words")


@pytest.mark.parametrize("search", [Beam(2), Greedy()])
def test_a_cell_and_its_table_hold_it_for_beam_search_alone(search, monkeypatch, tmp_path):
    monkeypatch.setattr(spoken, "WORDS", 20)
    done = measured(["static_kv", "contiguous_kv"], tmp_path, cell_of(search))
    kept, table = done.cell, case_table([done])
    if search.kind == "greedy":
        assert not any(key.startswith("phoneme_error") for key in kept)
        assert table["phoneme_error"].isna().all()
    else:
        assert kept["phoneme_error_words"] == 20
        assert table["phoneme_error"].tolist() == [kept["phoneme_error"]] * 2


def frozen(*arguments):
    """For each cell of the plan of a run: whether its job, read back from its line, counts phoneme errors of itself."""
    plan = planned(compose_jobs(read_overrides([*arguments, "seq_len=4"])))
    jobs = [CellJob.of_entry(one.frozen(), Path("run")) for one in plan]
    assert [CellJob.of_json(job.to_json()).is_spoken for job in jobs] == [job.is_spoken for job in jobs]
    return {job.cell.search.kind: job.is_spoken or is_spoken(job.cell) for job in jobs}


def test_other_searches_are_spoken_beside_beam_search_and_not_without_it():
    assert frozen("search=greedy,beam,sample") == {"greedy": True, "beam": True, "sample": True}
    assert frozen("search=greedy,sample") == {"greedy": False, "sample": False}
    assert frozen("search=greedy,beam", "model=tiny") == {"greedy": False, "beam": False}
    (plain,) = planned(compose_jobs(read_overrides(["seq_len=4"])))
    assert "is_spoken" not in plain.frozen()


def test_a_greedy_cell_beside_beam_search_has_its_phoneme_error(monkeypatch, tmp_path):
    monkeypatch.setattr(spoken, "WORDS", 20)
    cell = cell_of(Greedy())
    with Progress(1, 1) as progress:
        run_cell(cell, [parse("static_kv")], MeasureConfig(rounds=2), tmp_path, progress, Contenders(), spoken=True)
    kept = json.loads((tmp_path / "cells" / cell.id / "cell.json").read_text())
    assert kept["phoneme_error"] == error_rates(load_model(PRONOUNCE), 1, 20).per


@pytest.mark.parametrize(("label", "share"), [("static_kv", 1), ("static_kv(cross_beams=expanded)", 2)])
def test_the_cross_attention_that_beams_share_is_kept_once(label, share, tmp_path):
    """2 * B * S * H*K * L numbers of 4 bytes, for each beam where they are expanded; full recompute keeps none."""
    cell = Cell(CELL.model, 5, 6, 2, "cpu", "fp32", 1, 0, "fixed", search=Beam(2))
    table = case_table([measured(["full_recompute", label], tmp_path, cell)]).set_index("strategy")
    kept = dict(CELL.model.shape)
    once = 2 * cell.batch_size * cell.src_len * kept["num_heads"] * kept["d_kv"] * kept["decoder_layers"] * 4
    assert table.loc[label, "kv_cross_bytes"] == share * once
    assert table.loc["full_recompute", "kv_cross_bytes"] == 0
