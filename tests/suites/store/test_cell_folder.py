"""The run folder: what is written is read back, and what a killed run leaves is never half a thing."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.store.cell_folder import CellWriter, read_cells
from suites.store.files import ResultsError, read_json, write_json
from suites.store.records import ArmResult, Calibration, Conditions, Round
from suites.store.schema import SCHEMA
from suites.words.labels import plain

CELL: dict[str, Any] = {
    "model": {"name": "tiny"}, "device": "cpu", "dtype": "fp32", "threads": 1, "batch_size": 1, "src_len": 4,
    "tgt_len": 4, "stop": "fixed", "seed": 0,
}  # fmt: skip
PARTS = ("step_flops", "weight_bytes", "self_kv_bytes", "cross_kv_bytes", "copy_bytes")
FORMULA = {"prefill_flops": 9, **{name: [5] * 200 for name in PARTS}}
CELL["formulas"] = {"full_recompute": FORMULA}
ROUNDS = [Round("full_recompute", i, i < 0, True, [0.0, 1.5 + i, 2.25 + i]) for i in range(-1, 3)]
FACTS = [ArmResult("full_recompute", "ok", steps=1, rss_bytes=2**40)]

labels = st.text(min_size=1).filter(lambda text: plain(text) == text)
seconds = st.floats(0, 1e6, allow_subnormal=True)
marks = st.builds(
    lambda inner, last, hidden: [0.0, *([math.nan] * hidden), *sorted(min(mark, last) for mark in inner), last],
    st.lists(seconds, min_size=1),
    st.floats(1e-6, 1e6),
    st.integers(0, 1),
)
rounds = st.builds(Round, labels, st.integers(-3, 99), st.booleans(), st.booleans(), marks)


def written(folder: Path, rounds=ROUNDS, facts=FACTS, schema=SCHEMA) -> Path:
    """A run of one cell, ``a``; returns the cell's rounds file."""
    write_json(folder / "run.json", {"schema": schema, "plan": [{"id": "a"}]})
    writer = CellWriter(folder, "a")
    writer.cell(CELL)
    for done in rounds:
        writer.round(done)
    writer.arms(facts)
    return writer.dir / "rounds.jsonl"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder that a property's examples write again and again."""
    return tmp_path_factory.mktemp("run")


@settings(derandomize=True, deadline=None, max_examples=40)
@given(done=st.lists(rounds, max_size=4))
def test_rounds_are_read_back_equal_to_the_bit_and_in_order(shared, done):
    written(shared, done)
    assert repr(read_cells(shared)[0].rounds) == repr(done)  # NaN, a mark that was not taken, equals nothing


def test_a_cell_and_its_arms_are_read_back_equal(tmp_path):
    written(tmp_path)
    (result,) = read_cells(tmp_path)
    assert (result.id, result.cell, result.arms) == ("a", CELL, FACTS)


def test_calibrations_among_the_rounds_and_conditions_are_read_back_equal(tmp_path):
    calibrations = [Calibration(i, i < 0, 1 / 3e-10, 2 / 3e-11) for i in range(-1, 3)]
    mixed = [record for pair in zip(calibrations, ROUNDS, strict=True) for record in pair]
    writer = CellWriter(tmp_path, "a")
    seen = Conditions("precision", 1.5, 1.25, None, 2, 4, [2400.0], ["power cap"], "no room")
    writer.conditions(seen)
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": "a"}]})
    writer.cell(CELL)
    for record in mixed:
        writer.round(record)
    writer.arms(FACTS)
    (result,) = read_cells(tmp_path)
    assert (result.rounds, result.calibrations, result.conditions) == (ROUNDS, calibrations, seen)


def test_the_environment_of_a_cell_is_read_back_and_a_cell_without_one_has_none(tmp_path):
    written(tmp_path)
    assert read_cells(tmp_path)[0].environment is None
    (tmp_path / "cells" / "a" / "environment.json").write_text(
        '{"node": "n1", "cpu": "C", "gpu": {"name": "G"}, "x": 1}'
    )
    assert read_cells(tmp_path)[0].environment == {"node": "n1", "cpu": "C", "gpu": {"name": "G"}}


def test_an_environment_of_a_cell_that_no_version_writes_is_refused_by_name(tmp_path):
    written(tmp_path).with_name("environment.json").write_text('{"cpu": 5}')
    with pytest.raises(ResultsError, match=r"cells/a/environment\.json is damaged, .*version \(cpu: "):
        read_cells(tmp_path)


def test_a_folder_of_schema_1_has_rounds_and_no_more(tmp_path):
    path = written(tmp_path, schema=1)
    lines = [{k: v for k, v in asdict(done).items() if k != "collections"} for done in ROUNDS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (result,) = read_cells(tmp_path)
    assert (result.rounds, result.calibrations, result.conditions) == (ROUNDS, [], None)


def test_conditions_of_another_version_are_refused_by_name(tmp_path):
    path = written(tmp_path).with_name("conditions.json")
    path.write_text('{"weather": "fine"}')
    with pytest.raises(ResultsError, match=r"conditions\.json is damaged, .*version \(.*(weather|stopped_by)"):
        read_cells(tmp_path)


def test_a_last_line_cut_anywhere_costs_that_round_alone(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert read_cells(tmp_path)[0].rounds == ROUNDS[:-1]
    path.write_bytes(whole[:-1])
    assert read_cells(tmp_path)[0].rounds == ROUNDS


@pytest.mark.parametrize("line", ['{"strategy": "full_rec', '{"strategy": "x", "extra": 1}', "[1]", ""])
def test_a_damaged_line_among_the_others_is_named_in_one_line(tmp_path, line):
    path = written(tmp_path)
    first, _, *rest = path.read_text().split("\n")
    path.write_text("\n".join([first, line, *rest]))
    with pytest.raises(ResultsError, match=r"rounds\.jsonl line 2 is not a round .*; remove the line") as caught:
        read_cells(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_cell_that_was_killed_keeps_its_rounds_and_says_so(tmp_path):
    written(tmp_path)
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": "b"}, {"id": "a"}, {"id": "c"}]})
    killed = CellWriter(tmp_path, "b")
    killed.cell({**CELL, "formulas": {"full_recompute": FORMULA, "static_kv": FORMULA}})
    for done in ROUNDS:
        killed.round(done)
    b, a = read_cells(tmp_path)
    assert (b.id, a.id, b.rounds, a.arms) == ("b", "a", ROUNDS, FACTS)
    reason = "its process ended in this cell; finished rounds kept: {}"
    assert b.arms == [
        ArmResult("full_recompute", "failed", reason.format(3)),
        ArmResult("static_kv", "failed", reason.format(0)),
    ]


def test_a_cell_that_starts_again_forgets_what_it_held(tmp_path):
    written(tmp_path).with_name("environment.json").write_text('{"node": "n1"}')
    CellWriter(tmp_path, "a").cell(CELL)
    (again,) = read_cells(tmp_path)
    assert (again.rounds, [arm.status for arm in again.arms], again.environment) == ([], ["failed"], None)


def test_another_schema_is_refused_by_its_number(tmp_path):
    written(tmp_path, schema=SCHEMA + 1)
    with pytest.raises(ResultsError, match=rf"has schema {SCHEMA + 1}, this version reads 1 and {SCHEMA}; run again"):
        read_cells(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"run\.json does not exist; give a folder that `run` wrote"),
        ("{", r"run\.json is damaged, foreign or of another version"),
        ("[1]", r"run\.json is damaged, foreign or of another version \("),
        ('{"schema": 1}', r"run\.json is damaged, foreign or of another version \(plan: "),
        ('{"schema": 2, "plan": [{"id": "../x"}]}', r"\(plan\.0\.id: .*'\.\./x' is not the name of a folder"),
        ('{"schema": 2, "plan": [{"id": "/abs"}]}', r"\(plan\.0\.id: .*'/abs' is not the name of a folder"),
        ("[" * 100_000, r"run\.json is damaged"),
        (b"\xff\xfe", r"run\.json is not text .*damaged or foreign"),
    ],
)
def test_a_foreign_folder_is_refused_in_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ResultsError, match=message) as caught:
        read_cells(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_in_place_of_a_folder_and_a_folder_in_place_of_a_file_are_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "run.json", tmp_path):
        with pytest.raises(ResultsError, match="cannot be read"):
            read_json(path)


def test_facts_of_another_version_are_refused_by_name(tmp_path):
    path = written(tmp_path).with_name("arms.json")
    path.write_text(json.dumps([asdict(FACTS[0]) | {"colour": "red"}]))
    with pytest.raises(ResultsError, match=r"arms\.json is damaged, foreign or of another version \(0\.colour: "):
        read_cells(tmp_path)


@pytest.mark.parametrize("place", ["write_bytes", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, place):
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    real = Path.write_bytes

    def fail(self, content, *rest, **more):
        if place == "write_bytes":
            real(self, content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, place, fail)
    with pytest.raises(OSError, match="disk full"):
        write_json(path, {"new": list(range(100))})
    monkeypatch.undo()
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]
    write_json(path, {"new": 2})
    assert read_json(path) == {"new": 2}
