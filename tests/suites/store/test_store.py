"""The run folder against what happens to files: a kill at any moment, a cut, foreign content. Never a traceback."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suites.reporting.environment import environment_lines
from suites.store.cell_folder import read_cells, write_json
from suites.store.files import ResultsError, read_json
from suites.store.schema import SCHEMA
from suites.tables.role_table import read_roles
from suites.tables.table_files import read_tables
from suites.two_runs.runs import read_run
from suites.verbs.collected import collect
from suites.verbs.plot import main as plot
from tests.command import ROOT, SMALL_MODEL, suites

from .test_cell_folder import CELL, FORMULA

WRITER = f"""
import sys
from pathlib import Path
from suites.store.records import ArmResult, Conditions, Round
from suites.store.cell_folder import CellWriter
sys.stdout.reconfigure(line_buffering=True)
for number in range(999):
    writer = CellWriter(Path(sys.argv[1]), f"c{{number}}")
    writer.cell({ {**CELL, "formulas": {"static_kv": FORMULA}}!r})
    for index in range(9):
        writer.round(Round("static_kv", index, False, True, [0.0, *(number + index + k / 7 for k in range(200))]))
        print(number, index)
    writer.conditions(Conditions("rounds", 1.0, 1.0, None, 1, 1, [], []))
    writer.arms([ArmResult("static_kv", "ok")])
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_killed_at_any_moment_leaves_every_finished_round(tmp_path, seed):
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": f"c{i}"} for i in range(999)]})
    writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline()]
    time.sleep(random.Random(seed).uniform(0, 0.05))
    writer.send_signal(signal.SIGKILL)
    said += writer.communicate()[0].split("\n")[:-1]  # a line that the kill cut says nothing
    number, index = map(int, said[-1].split())
    cells = [[done.index for done in cell.rounds] for cell in read_cells(tmp_path)]
    assert cells[:number] == [list(range(9))] * number
    assert cells[number][: index + 1] == list(range(index + 1))
    assert sum(map(len, cells)) <= len(said) + 2


def wait_for_rounds(folder: Path, lines: int, process: subprocess.Popen) -> None:
    """Until the second cell has so many lines of rounds."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        files = list(folder.glob("cells/*/rounds.jsonl"))
        if len(files) > 1 and min(file.read_text().count("\n") for file in files) >= lines:
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    raise AssertionError("no rounds within two minutes")


def test_a_run_that_is_killed_is_read_and_made_whole_tables_of(tmp_path, capsys, quiet):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "suites", "run", "seq_len=8,96", "measure.rounds=15", *SMALL_MODEL]
    command += ["strategies=[static_kv,contiguous_kv]", f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_rounds(folder, 8, process)
        finally:
            process.kill()
    first, second = read_cells(folder)
    assert [arm.status for arm in first.arms] == ["ok", "ok"]
    assert [arm.status for arm in second.arms] == ["failed", "failed"]
    assert len(second.rounds) >= 4
    assert plot([str(folder), "--retable"]) == 0
    assert "in 1 cell: its process ended in this cell" in capsys.readouterr().out
    table, _ = read_tables(folder)
    kept = sum(done.strategy == "static_kv" and not done.warmup for done in second.rounds)
    reasons = table.set_index(["tgt_len", "strategy"])["reason"]
    assert reasons[96, "static_kv"].endswith(f"in this cell; finished rounds kept: {kept}")
    assert (table.loc[table["tgt_len"] == 8, "status"] == "ok").all()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of two cells and two strategies."""
    folder = tmp_path_factory.mktemp("store")
    suites(
        "run", "seq_len=4,8", *SMALL_MODEL, "measure.rounds=3", "strategies=[full_recompute,static_kv]", folder=folder
    )
    return (folder / "results" / "latest").resolve()


def read_all(folder: Path) -> None:
    """Everything that is made of a run folder or read from it, but the pictures."""
    collect(folder, plots=False, report=False)
    if (environment := read_json(folder / "environment.json")) and isinstance(environment, dict):
        environment_lines(environment)

    read_roles(folder, read_tables(folder)[0])
    read_run(folder)


def survives(folder: Path) -> None:
    """It is read, or refused in one line that names the file."""
    refusal = ""
    try:
        read_all(folder)
    except ResultsError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert not refusal or str(folder) in refusal


@pytest.fixture
def quiet(monkeypatch):
    """No pictures are drawn."""
    monkeypatch.setattr("suites.plots.draw", lambda *_: [])


FILES = [
    "run.json",
    "environment.json",
    "cells/*/environment.json",
    "cell.json",
    "arms.json",
    "conditions.json",
    "rounds.jsonl",
]
PROPERTY = settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
values = (
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=3) | st.just([]) | st.just({})
)


def file_of(run: Path, name: str) -> Path:
    """The file of that name, in the first cell where it belongs to one."""
    return next(path for pattern in (name, f"cells/*/{name}") for path in sorted(run.glob(pattern)))


@PROPERTY
@given(name=st.sampled_from(FILES), share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_read_or_refused_in_one_line(quiet, run, name, share):
    path = file_of(run, name)
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[: int(share * len(whole))])
        survives(run)
    finally:
        path.write_bytes(whole)


@PROPERTY
@given(name=st.sampled_from(FILES), start=st.floats(0, 1), garbage=st.binary(min_size=1, max_size=9))
def test_a_file_with_garbage_in_it_is_read_or_refused_in_one_line(quiet, run, name, start, garbage):
    path = file_of(run, name)
    whole = path.read_bytes()
    at = int(start * len(whole))
    try:
        path.write_bytes(whole[:at] + garbage + whole[at + len(garbage) :])
        survives(run)
    finally:
        path.write_bytes(whole)


def places(content: object, so_far: tuple = ()) -> list[tuple]:
    """The path of every value in a JSON value, the long lists' first two alone."""
    inner = (
        content.items() if isinstance(content, dict) else enumerate(content[:2]) if isinstance(content, list) else ()
    )
    return [so_far, *(place for key, value in inner for place in places(value, (*so_far, key)))]


def replaced(content: object, place: tuple, value: object) -> object:
    """``content`` with ``value`` at ``place``."""
    if not place:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[place[0]] = replaced(copy[place[0]], place[1:], value)
    return copy


@PROPERTY
@given(name=st.sampled_from(FILES), data=st.data(), value=values)
def test_a_foreign_value_anywhere_is_read_or_refused_in_one_line(quiet, run, name, data, value):
    path = file_of(run, name)
    whole = path.read_text()
    first, rest = whole.split("\n", 1) if name == "rounds.jsonl" else (whole, "")
    content = json.loads(first)
    place = data.draw(st.sampled_from(places(content)))
    try:
        path.write_text(json.dumps(replaced(content, place, value)) + "\n" + rest)
        survives(run)
    finally:
        path.write_text(whole)


@PROPERTY
@given(name=st.sampled_from(FILES), data=st.data())
def test_an_absent_field_is_read_or_refused_in_one_line(quiet, run, name, data):
    path = file_of(run, name)
    whole = path.read_text()
    first, rest = whole.split("\n", 1) if name == "rounds.jsonl" else (whole, "")
    content = json.loads(first)
    inside = [place for place in places(content) if place and isinstance(place[-1], str)]
    *way, key = data.draw(st.sampled_from(inside))
    holder = content
    for step in way:
        holder = holder[step]
    del holder[key]
    try:
        path.write_text(json.dumps(content) + "\n" + rest)
        survives(run)
    finally:
        path.write_text(whole)


@pytest.mark.parametrize("name", FILES)
def test_an_absent_file_is_refused_in_one_line_or_its_case_is_missing(quiet, run, name):
    path = file_of(run, name)
    path.rename(path.with_name("aside"))
    try:
        survives(run)
    finally:
        path.with_name("aside").rename(path)
