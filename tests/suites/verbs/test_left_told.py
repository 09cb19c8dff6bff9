"""What the summary, advice.txt and the page say of a run of which something is left to be measured."""

import dataclasses
import json
import re
import shutil

import pytest

from suites.store.cell_folder import cell_folder
from suites.store.files import read_json, write_json
from suites.store.locks import cell_lock, locked
from suites.store.plan import write_plan
from suites.tables.table_files import read_tables
from suites.verbs.collect import main as collect
from suites.verbs.left_told import left_of
from suites.verbs.report import main as report

from ..measuring.one_cell import CELL
from ..telling.test_mixed_told import BASE, KEPT, write_run

RESUME = "Next, to measure what is left ({}): python -m suites run --resume {}"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of three cells that are done, as its own folder names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("suites.plots.draw", lambda *_: [])
    folder = write_run(tmp_path / "run", *[{"cpu": "A"}] * 3)
    entry = {"overrides": [], "predicted_work": 1, "contenders": [], "measure": {}, "config": ""}
    ids = [f"c{number}" for number in range(3)]
    write_plan(
        folder, [entry | {"id": one, "strategies": [BASE, KEPT], "cell": whole_cell(folder, one)} for one in ids]
    )
    return folder


def whole_cell(folder, name):
    """All fields of a planned cell, those of cell.json among them, which has them all from now on."""
    path = cell_folder(folder, name) / "cell.json"
    cell, known = read_json(path), json.loads(json.dumps(dataclasses.asdict(CELL)))
    found = known | {key: value for key, value in cell.items() if key in known}
    found["model"] = known["model"] | cell["model"]
    write_json(path, cell | found)
    return found


def cut(run, name, reason):
    """Make both arms of a cell failed."""
    path = cell_folder(run, name) / "arms.json"
    write_json(path, [arm | {"status": "failed", "reason": reason} for arm in read_json(path)])


def printed(run, capsys, code):
    assert collect([str(run)]) == code
    return capsys.readouterr().out


def test_a_run_that_is_whole_is_advised_as_ever(run, capsys):
    assert "\nCareful: the machine read memory 2.00 times" in printed(run, capsys, 0)


def test_an_interrupted_cell_is_told_once_and_the_command_goes_on_with_the_run(run, capsys):
    cut(run, "c1", "interrupted")
    shutil.rmtree(cell_folder(run, "c2"))
    out = printed(run, capsys, 1)
    assert out.startswith("3 cells: 1 done, 0 running, 0 failed, 2 missing\n")
    assert out.count("interrupted: batch 2, 4 -> 3 tokens after 6 of its rounds") == 1
    assert "\n1 planned cell has no result yet\n" in out
    assert "failed:" not in out
    assert re.search(r"\nfull_recompute +interrupted\s", out)
    said, command = RESUME.format("2 cells", "run").split(": ")
    assert out.count(f"\n{said}:\n  {command}\n") == out.count("python -m suites") == 1
    assert (run / "advice.txt").read_text().startswith(f"{said}: {command}\n")
    page = (run / "report.html").read_text()
    assert page.count(f"{said}: <code>{command}</code>") == page.count("Next, ") == 1
    report([str(run)])
    assert (run / "report.html").read_text() == page


def test_a_cell_that_failed_is_measured_again_by_the_same_command(run, capsys):
    cut(run, "c1", "out of memory")
    out = printed(run, capsys, 1)
    assert "failed: full_recompute, static_kv in 1 cell: out of memory" in out
    assert left_of(run).command == RESUME.format("1 cell", "run")
    write_json(cell_folder(run, "c1") / "try.json", {"number": 2})
    assert not left_of(run).is_open
    assert "\nCareful: the machine read memory 2.00 times" in printed(run, capsys, 1)


def test_a_cell_that_is_being_measured_has_not_failed(run, capsys):
    (cell_folder(run, "c1") / "arms.json").unlink()
    shutil.rmtree(cell_folder(run, "c2"))
    with locked(cell_lock(run, "c1"), ""), locked(cell_lock(run, "c2"), ""):
        out = printed(run, capsys, 1)
    assert out.startswith("3 cells: 1 done, 2 running, 0 failed, 0 missing\n")
    assert "\nstill being measured: 2 cells\n" in out
    assert "failed" not in out.partition("\n")[2]
    assert "no result yet" not in out
    assert "python -m suites" not in out
    table = read_tables(run)[0].set_index("cell").loc["c1"]
    assert set(table["status"]) == {"failed"}
    assert set(table["reason"]) == {"still being measured; finished rounds so far: 6"}
    page = (run / "report.html").read_text()
    assert "2 of 4 cases have no times; the first: full_recompute, still being measured; finished rounds" in page
    out = printed(run, capsys, 1)
    assert "\nunfinished: full_recompute, static_kv in 1 cell: its process ended in this cell; finished" in out
    assert "failed:" not in out


def test_cells_whose_jobs_wait_are_not_left_to_the_user(run):
    shutil.rmtree(cell_folder(run, "c1"))
    shutil.rmtree(cell_folder(run, "c2"))
    jobs = [{"cell": "c1", "job": "7"}]
    write_json(run / "run.json", read_json(run / "run.json") | {"jobs": jobs})
    assert left_of(run).command == RESUME.format("1 cell", "run")
    write_json(run / "run.json", read_json(run / "run.json") | {"jobs": [*jobs, {"cell": "c2", "job": "8"}]})
    assert (left_of(run).is_open, left_of(run).command) == (True, "")


def test_a_folder_of_an_earlier_version_has_nothing_left(run):
    shutil.rmtree(cell_folder(run, "c1"))
    (run / "plan.jsonl").unlink()
    assert (left_of(run).is_open, left_of(run).command) == (False, "")
