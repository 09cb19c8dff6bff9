"""A request to stop within the rounds of a cell: the round in progress is the last, and the rounds before it count."""

import contextlib
import dataclasses
import signal

import pytest

from strategies import select
from suites.machine.signals import CHECKPOINT, Stopped, handled, request_stop
from suites.measuring import arms
from suites.measuring.runner import CellRun, run_cell
from suites.settings.config import MeasureConfig
from suites.store.cell_folder import CellWriter, read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.telling.stopped import stopped_told
from suites.words.progress import Progress

from .one_cell import CELL, Contenders


def interrupted_in(monkeypatch, wanted, ask=lambda: signal.raise_signal(signal.SIGINT)):
    """Ask for a stop in the round of this index, by the arm whose turn is second."""
    turns, real = [], arms.StrategyArm.round

    def round_of(arm, index, warmup, clock):
        turns.append(index)
        if turns.count(wanted) == 2 and index == wanted:
            ask()
        return real(arm, index, warmup, clock)

    monkeypatch.setattr(arms.StrategyArm, "round", round_of)


class StoppedAtClosing(Contenders):
    """Contenders, of which there are none, whose processes take long to end: meanwhile signals come."""

    def __init__(self, signals):
        super().__init__()
        object.__setattr__(self, "signals", signals)

    @contextlib.contextmanager
    def line_up(self, *arguments):
        with super().line_up(*arguments) as arms:
            yield arms
        for _ in range(self.signals):
            signal.raise_signal(signal.SIGINT)


def measured(folder, children=None, **measure):
    settings = dataclasses.replace(MeasureConfig(rounds=6, warmup=1), **measure)
    stopped = None
    try:
        with handled():
            run_cell(CELL, select("core"), settings, folder, Progress(1, 1), children or Contenders())
    except Stopped as raised:
        stopped = raised
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": CELL.id}]})
    return read_cells(folder)[0], stopped


@pytest.mark.parametrize(("index", "measure"), [(1, {}), (3, {}), (4, {"precision": 1e-9})])
def test_from_two_rounds_on_the_rounds_so_far_count(tmp_path, monkeypatch, index, measure):
    interrupted_in(monkeypatch, index)
    done, stopped = measured(tmp_path, **measure)
    assert stopped is None
    assert {arm.status for arm in done.arms} == {"ok"}
    table = case_table([done])
    assert (table["rounds"] == index + 1).all()
    assert (table["stopped_by"] == "interrupted").all()
    assert table["e2e_ratio"].notna().all()
    of = "6 to 100" if measure else "6"
    assert stopped_told([done]) == [f"interrupted: batch 2, 5 -> 6 tokens after {index + 1} of {of} rounds"]


@pytest.mark.parametrize(("index", "kept"), [(-1, 0), (0, 1)])
def test_below_two_rounds_every_arm_is_a_failed_row(tmp_path, monkeypatch, index, kept):
    interrupted_in(monkeypatch, index)
    done, stopped = measured(tmp_path)
    assert stopped.code == 130
    assert {(arm.status, arm.reason) for arm in done.arms} == {("failed", "interrupted")}
    assert {one.index for one in done.rounds} == set(range(-1, index + 1))
    assert len(done.rounds) == len(done.arms) * (index + 2)
    assert stopped_told([done]) == [f"interrupted: batch 2, 5 -> 6 tokens after {kept} of 6 rounds"]


def test_a_request_in_the_last_round_leaves_a_complete_cell(tmp_path, monkeypatch):
    interrupted_in(monkeypatch, 5)
    done, _ = measured(tmp_path)
    assert done.conditions.stopped_by == "rounds"
    assert stopped_told([done]) == []


@pytest.mark.parametrize("signals", [1, 2])
def test_what_stops_a_cell_after_its_last_round_loses_none_of_them(tmp_path, signals):
    done, stopped = measured(tmp_path, StoppedAtClosing(signals))
    assert (stopped is None) == (signals == 1)
    assert {arm.status for arm in done.arms} == {"ok"}
    assert all(arm.tokens_equal for arm in done.arms)
    assert {one.index for one in done.rounds} == set(range(-1, 6))
    assert done.conditions.stopped_by == "rounds"
    assert stopped_told([done]) == []


@pytest.mark.parametrize("place", ["_note_finished", "arms"])
def test_a_request_while_outcomes_are_noted_or_written_loses_none_of_them(tmp_path, monkeypatch, place):
    owner = CellRun if place == "_note_finished" else CellWriter
    real = getattr(owner, place)

    def asked(*arguments):
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(owner, place, asked)
    done, stopped = measured(tmp_path)
    assert stopped is None
    assert {arm.status for arm in done.arms} == {"ok"}
    assert done.conditions.stopped_by == "rounds"


def test_twice_is_now_and_the_round_in_progress_is_lost(tmp_path, monkeypatch):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    interrupted_in(monkeypatch, 3, twice)
    done, stopped = measured(tmp_path)
    assert stopped.code == 130
    assert {arm.reason for arm in done.arms} == {"interrupted"}
    assert len(done.rounds) == len(done.arms) * 4 + 1


def test_the_reason_of_the_program_is_what_the_table_says(tmp_path, monkeypatch):
    interrupted_in(monkeypatch, 2, lambda: request_stop(CHECKPOINT, signal.SIGUSR2))
    done, _ = measured(tmp_path)
    assert done.conditions.stopped_by == CHECKPOINT
