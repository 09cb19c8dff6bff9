"""Cells whose job died: what becomes a failed row, and what stays as it was."""

import shutil

from suites.jobs.dead import TIME_LIMIT, fail_at_time_limit, write_dead
from suites.machine.signals import CHECKPOINT
from suites.store.cell_folder import read_cells
from suites.store.cell_state import state_of
from suites.store.files import read_json, write_json, write_json_once
from suites.store.locks import cell_lock, locked
from suites.store.plan import read_plan


def first(run_dir):
    entry = read_plan(run_dir)[0]
    return entry, run_dir / "cells" / entry["id"]


def reasons(run_dir):
    return [arm.reason for arm in read_cells(run_dir)[0].arms]


def test_a_job_that_died_before_it_began_is_failed_rows_and_a_try(run_dir):
    entry, folder = first(run_dir)
    shutil.rmtree(folder)
    write_dead(run_dir, entry, "the node went away")
    assert reasons(run_dir) == ["the node went away"] * 2
    state = state_of(run_dir, entry)
    assert (state.status, state.tries) == ("failed", 1)


def test_a_job_that_died_in_its_rounds_keeps_them(run_dir):
    entry, folder = first(run_dir)
    (folder / "arms.json").unlink()
    kept = (folder / "rounds.jsonl").read_text()
    write_dead(run_dir, entry, "out of memory")
    assert reasons(run_dir) == ["out of memory"] * 2
    assert (folder / "rounds.jsonl").read_text() == kept


def test_results_are_never_replaced(run_dir):
    entry, folder = first(run_dir)
    before = (folder / "arms.json").read_text()
    write_dead(run_dir, entry, "it seemed dead")
    assert (folder / "arms.json").read_text() == before
    assert not write_json_once(folder / "arms.json", [])
    assert (folder / "arms.json").read_text() == before
    assert not list(folder.glob(".*.part"))


def test_a_job_that_died_in_a_later_try_leaves_the_first_one_and_its_reason(run_dir):
    entry, folder = first(run_dir)
    conditions = read_json(folder / "conditions.json")
    write_json(folder / "conditions.json", conditions | {"stopped_by": "interrupted"})
    before = (folder / "arms.json").read_text()
    shutil.copytree(folder, run_dir / "again" / entry["id"], ignore=shutil.ignore_patterns("arms.json"))
    write_dead(run_dir, entry, "out of memory")
    assert (folder / "arms.json").read_text() == before
    state = state_of(run_dir, entry)
    assert (state.status, state.tries, state.reason) == ("missing", 2, "out of memory")
    assert not state.is_left()
    assert not (run_dir / "again").exists()


def test_a_cell_that_is_being_measured_is_not_dead(run_dir):
    entry, folder = first(run_dir)
    (folder / "arms.json").unlink()
    with locked(cell_lock(run_dir, entry["id"]), ""):
        write_dead(run_dir, entry, "it seemed dead")
    assert not (folder / "arms.json").exists()


def test_a_cell_longer_than_its_time_limit_fails_with_that_reason_however_many_rounds_it_has(run_dir):
    entry, folder = first(run_dir)
    conditions = read_json(folder / "conditions.json")
    write_json(folder / "conditions.json", conditions | {"stopped_by": CHECKPOINT})
    assert state_of(run_dir, entry).status == "missing"
    fail_at_time_limit(run_dir, entry, "its job reached the time limit")
    assert reasons(run_dir) == ["its job reached the time limit"] * 2
    assert read_json(folder / "conditions.json")["stopped_by"] == TIME_LIMIT
    state = state_of(run_dir, entry)
    assert (state.status, state.tries, state.is_left()) == ("failed", 2, False)


def test_the_time_limit_of_a_later_try_leaves_what_an_earlier_one_measured(run_dir):
    entry, folder = first(run_dir)
    before = (folder / "arms.json").read_text()
    fail_at_time_limit(run_dir, entry, "its job reached the time limit")
    assert (folder / "arms.json").read_text() == before
    assert state_of(run_dir, entry).reason == "its job reached the time limit"
