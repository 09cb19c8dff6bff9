"""``collect``, and processes that would do the same at the same time: locks, and what each of them sees."""

import shutil
import threading

import pytest

from suites.jobs.attempt import mend_all
from suites.store.cell_folder import read_cells
from suites.store.files import read_json, write_json
from suites.store.locks import BusyError, cell_lock, collect_lock, locked, run_lock
from suites.store.plan import read_plan
from suites.verbs import collected
from tests.command import suites

from .resumed import resume, states


def test_an_interrupted_run_is_not_whole(run_dir):
    folder = run_dir / "cells" / read_plan(run_dir)[0]["id"]
    conditions = read_json(folder / "conditions.json")
    write_json(folder / "conditions.json", conditions | {"stopped_by": "interrupted"})
    done = suites("collect", str(run_dir), folder=run_dir.parent)
    assert "2 done, 0 running, 0 failed, 1 missing" in done.stdout
    assert done.returncode == 1


def test_two_runs_on_one_folder_the_second_stops_with_one_line(run_dir):
    shutil.rmtree(run_dir / "cells" / read_plan(run_dir)[0]["id"])
    with locked(run_lock(run_dir), ""):
        done = resume(run_dir)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "is being run by process" in line
    assert states(run_dir) == ["missing", "done", "done"]


def test_a_cell_that_another_process_measures_is_left_alone(run_dir):
    entry = read_plan(run_dir)[0]
    shutil.rmtree(run_dir / "cells" / entry["id"])
    with locked(cell_lock(run_dir, entry["id"]), ""):
        done = suites("collect", str(run_dir), folder=run_dir.parent)
        assert "3 cells: 2 done, 1 running, 0 failed, 0 missing" in done.stdout
        again = resume(run_dir)
    assert "1 running, 0 failed, 0 missing; nothing to measure" in again.stderr
    assert states(run_dir) == ["missing", "done", "done"]


def test_collect_says_where_the_run_stands_and_changes_nothing_a_second_time(run_dir):
    shutil.rmtree(run_dir / "cells" / read_plan(run_dir)[1]["id"])
    (run_dir / "table.csv").unlink()
    first = suites("collect", str(run_dir), folder=run_dir.parent)
    tables = [(run_dir / name).read_bytes() for name in ("table.csv", "steps.csv", "roles.csv")]
    second = suites("collect", str(run_dir), folder=run_dir.parent)
    assert (first.returncode, second.returncode) == (1, 1)
    assert first.stdout == second.stdout
    assert first.stdout.startswith("3 cells: 2 done, 0 running, 0 failed, 1 missing\n")
    assert [(run_dir / name).read_bytes() for name in ("table.csv", "steps.csv", "roles.csv")] == tables


def test_a_run_in_which_nothing_was_begun_has_nothing_to_collect(run_dir):
    shutil.rmtree(run_dir / "cells")
    done = suites("collect", str(run_dir), folder=run_dir.parent)
    assert done.returncode == 1
    assert done.stderr.startswith("decodebench: no cell of ")


def test_two_that_collect_take_turns(run_dir, capsys):
    """The second begins when the first is done: what the two print and write is not mixed."""
    with locked(collect_lock(run_dir), ""):
        (run_dir / "table.csv").unlink()
        waits = threading.Thread(target=collected.collect, args=(run_dir,), kwargs={"plots": False, "report": False})
        waits.start()
        waits.join(1)
        assert waits.is_alive()
        assert not (run_dir / "table.csv").exists()
    waits.join(60)
    assert (run_dir / "table.csv").exists()


def test_a_process_that_collects_for_long_is_not_waited_for(run_dir, monkeypatch):
    monkeypatch.setattr(collected, "COLLECTING_S", 0.1)
    with locked(collect_lock(run_dir), ""), pytest.raises(BusyError, match="is being collected by process"):
        collected.collect(run_dir)


def test_collecting_while_folders_are_exchanged_loses_no_row(run_dir):
    """A cell is found under either name, and read again where it was exchanged in the middle of being read."""
    entry = read_plan(run_dir)[0]
    first, old = run_dir / "cells" / entry["id"], run_dir / "replaced" / entry["id"]
    old.parent.mkdir()
    first.rename(old)
    assert read_cells(run_dir)[0].id == entry["id"]
    mend_all(run_dir)
    assert first.exists()
    assert not old.parent.exists()
