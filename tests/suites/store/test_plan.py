"""A plan that this version did not write is refused in one line, before anything of it is measured."""

import dataclasses
import json

import pytest

from strategies import ModelSpec
from strategies.search.options import Beam, Sample
from suites.contenders.running.child import cell_of
from suites.jobs.states import standing
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.settings.features import FeatureFile
from suites.store.cell_state import state_of
from suites.store.files import ResultsError, write_json
from suites.store.plan import ids_of_job, planned_cell, read_plan, write_plan
from suites.store.plan_entries import FrozenCell, FrozenModel
from tests.suites.measuring.one_cell import CELL

ENTRY = {
    "id": CELL.id,
    "overrides": [],
    "predicted_work": 1,
    "cell": dataclasses.asdict(CELL),
    "strategies": ["static_kv"],
    "contenders": [],
    "measure": dataclasses.asdict(MeasureConfig()),
    "config": "",
    "isolate": "auto",
}


def changed(**changes):
    return json.loads(json.dumps(ENTRY | changes))


BEAM = dataclasses.asdict(Beam())


def with_search(**search):
    return changed(cell=changed()["cell"] | {"search": search})


@pytest.mark.parametrize("search", [{"kind": "greedy"}, BEAM, dataclasses.asdict(Sample(0.5, 50, 0.9))])
def test_a_plan_is_read_as_it_was_written(tmp_path, search):
    entry = with_search(**search)
    write_plan(tmp_path, [entry])
    assert read_plan(tmp_path) == [entry]


def test_a_plan_of_a_version_that_wrote_no_search_is_of_greedy_search(tmp_path):
    entry = changed()
    del entry["cell"]["search"]
    write_plan(tmp_path, [entry])
    assert read_plan(tmp_path) == [changed()]


@pytest.mark.parametrize(("search", "status"), [({"kind": "greedy"}, "done"), (BEAM, "missing")])
def test_a_cell_that_was_measured_without_a_search_is_that_of_greedy_search(tmp_path, search, status):
    entry = with_search(**search)
    folder = tmp_path / "cells" / entry["id"]
    folder.mkdir(parents=True)
    cell = {name: value for name, value in entry["cell"].items() if name != "search"}
    write_json(folder / "cell.json", cell | {"measure": entry["measure"]})
    write_json(folder / "arms.json", [{"strategy": "static_kv", "status": "ok"}])
    (folder / "rounds.jsonl").write_text("")
    assert state_of(tmp_path, entry).status == status


def test_one_cell_of_a_plan_is_read_by_its_id_or_its_place_and_no_other_line(tmp_path):
    other = changed(id="another")
    write_plan(tmp_path, [ENTRY, other])
    assert planned_cell(tmp_path, "another") == other
    assert [ids_of_job(tmp_path, job) for job in (0, 1)] == [[CELL.id], ["another"]]
    with pytest.raises(ResultsError, match="plans no cell third"):
        planned_cell(tmp_path, "third")
    with pytest.raises(ResultsError, match="it plans 2 jobs"):
        ids_of_job(tmp_path, 2)
    write_plan(tmp_path, [ENTRY, {**other, "job": 0}, changed(id="third", job=1)])
    assert [ids_of_job(tmp_path, job) for job in (0, 1)] == [[CELL.id, "another"], ["third"]]
    write_plan(tmp_path, [ENTRY, other])
    (tmp_path / "plan.jsonl").write_text("{\n" + json.dumps(other) + "\n")
    assert planned_cell(tmp_path, "another") == other


def test_the_fields_of_a_planned_cell_are_those_of_a_cell():
    assert set(FrozenCell.__annotations__) == {field.name for field in dataclasses.fields(Cell)}
    assert set(FrozenModel.__annotations__) == {field.name for field in dataclasses.fields(ModelSpec)}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (changed(measure=ENTRY["measure"] | {"bogus": 1}), "measure.bogus is not known"),
        (changed(measure=ENTRY["measure"] | {"rounds": 0}), "measure.rounds=0 is not allowed"),
        (changed(measure=ENTRY["measure"] | {"cell_seconds_max": "x"}), "measure.cell_seconds_max=x is not allowed"),
        (changed(cell=changed()["cell"] | {"bogus": 1}), "cell.bogus"),
        (changed(cell={}), "cell.model"),
        (changed(cell=changed()["cell"] | {"src_len": 0}), "cell.src_len"),
        (changed(cell=changed()["cell"] | {"device": "tpu"}), "cell.device"),
        (changed(cell=changed()["cell"] | {"threads": None}), "cell.threads"),
        (changed(cell=changed()["cell"] | {"model": changed()["cell"]["model"] | {"shape": None}}), "cell.model.shape"),
        (with_search(kind="nucleus"), "cell.search"),
        (with_search(kind="greedy", num_beams=4), "cell.search.greedy.num_beams"),
        (with_search(**BEAM | {"num_beams": 0}), "cell.search.beam.num_beams"),
        (with_search(**BEAM | {"num_return": 5}), "num_return=5 is not allowed"),
        (with_search(**BEAM | {"early_stopping": True}), "cell.search.beam.early_stopping"),
        (with_search(kind="sample", temperature=0.0, top_k=0, top_p=1.0), "cell.search.sample.temperature"),
        (with_search(kind="sample", temperature=1.0, top_k=0, top_p=2.0), "cell.search.sample.top_p"),
        (changed(strategies=[]), "it has no strategy and no contender"),
        (changed(isolate="bogus"), "isolate"),
        (changed(id="../x"), "id"),
        (changed(id="é" * 130), "id"),
    ],
)
def test_what_no_plan_of_this_version_holds_is_refused(tmp_path, entry, told):
    write_plan(tmp_path, [entry])
    with pytest.raises(ResultsError) as refused:
        read_plan(tmp_path)
    assert told in str(refused.value)
    assert str(refused.value).startswith("line 1 of ")
    assert "measure it anew in a new folder" in str(refused.value)


def test_a_cell_stands_in_a_plan_once_and_a_plan_has_a_cell(tmp_path):
    write_plan(tmp_path, [ENTRY, ENTRY])
    with pytest.raises(ResultsError, match=r"line 2 of .*its id stands there twice"):
        read_plan(tmp_path)
    write_plan(tmp_path, [])
    with pytest.raises(ResultsError, match="it plans no cell"):
        read_plan(tmp_path)


def test_the_plan_of_another_run_is_refused(tmp_path):
    write_plan(tmp_path, [ENTRY])
    write_json(tmp_path / "run.json", {"schema": 2, "plan": [{"id": "another"}]})
    with pytest.raises(ResultsError, match="plan different cells"):
        standing(tmp_path)


def test_a_cell_of_features_keeps_its_id_and_its_plan_without_what_later_versions_note_of_the_file(tmp_path):
    noted = dataclasses.replace(CELL, src_features=FeatureFile("/there/f.npy", (2, 4, 20), "digest", largest=3.5))
    older = dataclasses.replace(CELL, src_features=FeatureFile("/here/f.npy", (2, 4, 20), "digest"))
    assert noted.id == older.id
    entry = json.loads(json.dumps({**ENTRY, "id": older.id, "cell": dataclasses.asdict(older)}))
    del entry["cell"]["src_features"]["largest"]
    write_plan(tmp_path, [entry])
    assert cell_of({**planned_cell(tmp_path, older.id)["cell"]}) == older
