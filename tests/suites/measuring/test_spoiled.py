"""Which arm is blamed where CUDA is spoiled, and what becomes of the others. CUDA only seems to be in use here."""

import json
from dataclasses import dataclass

import pytest
import torch

from strategies import StrategyError, select
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.full_recompute import FullRecompute
from suites.__main__ import main
from suites.contenders.running.lineup import Contenders
from suites.measuring import runner
from suites.measuring.admission import Admission
from suites.measuring.arms import StrategyArm
from suites.measuring.calibration import Calibrator
from suites.measuring.runner import run_cell
from suites.measuring.spoiled import answering, is_spoiled
from suites.settings.config import MeasureConfig
from suites.settings.faults import Fault, SpoiledError, contained
from suites.words.progress import Progress

from .one_cell import CELL

MESSAGE = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"
ASSERTED = f"AcceleratorError: {MESSAGE.splitlines()[0]}"


def refused(*arguments):
    raise torch.AcceleratorError(MESSAGE)


@pytest.fixture
def spoil(monkeypatch):
    """Call it, and from then on every wait for the device raises."""

    def deed(synchronize=refused):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.cuda, "synchronize", synchronize)

    return deed


def test_an_error_that_one_call_tells_and_the_next_does_not_leaves_cuda_usable(spoil):
    assert not is_spoiled()
    waits = iter([refused, refused, lambda: None, lambda: None])
    spoil(lambda: next(waits)())
    with pytest.raises(torch.AcceleratorError), answering("mine"):
        pass
    assert not is_spoiled()
    spoil()
    assert is_spoiled()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("mine"), SystemExit(1)])
def test_where_cuda_is_usable_an_error_stays_what_it_is(spoil, error):
    spoil(lambda: None)
    with pytest.raises(type(error)) as raised, answering("mine"):
        raise error
    assert raised.value is error


def test_whatever_an_arm_makes_of_the_error_it_is_blamed_and_no_other(spoil):
    told = []
    spoil()
    with pytest.raises(SpoiledError) as raised, answering("other"), contained(told.append), answering("mine"):
        raise ValueError("cannot go on")
    assert (raised.value.label, raised.value.fault.reason, told) == ("mine", "ValueError: cannot go on", [])
    assert str(raised.value).startswith("mine spoiled CUDA for this process: ValueError: cannot go on; mend it")


@dataclass(frozen=True)
class Silent(ContiguousKV):
    """Starts a kernel that fails later: the call that started it raises nothing."""

    label = "silent"

    def self_kv(self, shape):
        self.after("self_kv")
        return Store(shape, self)

    def after(self, call):
        self.seen[call] = self.seen.get(call, 0) + 1
        if (call, self.seen[call]) == self.place:
            self.spoil()


class Store(ContiguousStore):
    def __init__(self, shape, strategy):
        super().__init__(shape)
        self._strategy = strategy

    def reset(self):
        super().reset()
        self._strategy.after("reset")

    def append(self, *arguments):
        self._strategy.after("append")
        return super().append(*arguments)


def silent(place, spoil):
    return type("Silent", (Silent,), {"place": place, "seen": {}, "spoil": staticmethod(spoil)})()


def spoiled_by(strategies, folder, measure=None, faults=None):
    """(the error that ends a cell, its rows by label)."""
    measure = measure or MeasureConfig(rounds=2, warmup=0)
    with pytest.raises(SpoiledError) as raised:
        run_cell(CELL, strategies, measure, folder, Progress(1, 1), Contenders(), faults)
    rows = json.loads((folder / "cells" / CELL.id / "arms.json").read_text())
    assert (folder / "cells" / CELL.id / "cell.json").exists()
    return raised.value, {row["strategy"]: (row["status"], row["reason"]) for row in rows}


STAGES = {
    "set-up": (("self_kv", 1), [False, False, False, 0]),
    "attention kernels": (("append", 2), [False, False, False, 0]),
    "prefill of the proof": (("reset", 1 + 1), [False, False, False, 0]),
    "step of the proof": (("append", 2 + 4), [False, False, False, 0]),
    "memory": (("self_kv", 3), [True, True, True, 0]),
    "dispatch": (("self_kv", 4), [True, True, True, 0]),
    "first round": (("reset", 1 + 2 + 1 + 4 + 1), [True, True, True, 1]),
    "last round": (("append", 2 + 1 + 6 + 6 + 4 * 6 + 2 * 6), [True, True, True, 2]),
}
"""Stage -> (call and its number; what is known of the arm at the stage's end: equality, memory, dispatch, rounds)."""


@pytest.mark.parametrize("stage", STAGES)
def test_the_arm_in_whose_stage_the_kernel_was_started_is_blamed(tmp_path, spoil, stage):
    """Beside arms that run their own code before it and after it, in each stage."""
    first, *others = select("core")
    place, known = STAGES[stage]
    error, rows = spoiled_by([first, silent(place, spoil), *others], tmp_path)
    assert (error.label, error.fault.reason) == ("silent", ASSERTED)
    assert list(error.left) == [first.label, *(strategy.label for strategy in others)]
    assert rows.pop("silent") == ("failed", f"{ASSERTED}; traceback in cells/{CELL.id}/traceback-silent.txt")
    assert set(rows.values()) == {("failed", "not reached")}
    folder = tmp_path / "cells" / CELL.id
    (row,) = (row for row in json.loads((folder / "arms.json").read_text()) if row["strategy"] == "silent")
    rounds = (folder / "rounds.jsonl").read_text().count('"strategy": "silent"')
    noted = [row[field] is not None for field in ("max_logit_error", "peak_memory_bytes", "dispatch_s")]
    assert [*noted, rounds] == known


def test_a_repeat_of_the_baseline_is_the_baselines(tmp_path, spoil):
    """Its set-up is the baseline's second, not counting those for attention kernels, memory and dispatch."""
    baseline = silent(("self_kv", 5), spoil)
    error, rows = spoiled_by([baseline], tmp_path, MeasureConfig(rounds=2, warmup=0, aa=True))
    assert (error.label, list(error.left)) == ("silent", [])
    assert rows["silent"][0] == "failed"


def test_a_round_of_a_repeat_is_the_baselines(tmp_path, spoil, monkeypatch):
    real = StrategyArm.round

    def spoiling(arm, *arguments):
        if arm.label.endswith("(A/A)"):
            spoil()
        return real(arm, *arguments)

    monkeypatch.setattr(StrategyArm, "round", spoiling)
    error, rows = spoiled_by(select("core"), tmp_path, MeasureConfig(rounds=2, warmup=0, aa=True))
    assert error.label == "full_recompute"
    assert set(error.left) == set(rows) - {"full_recompute"}


@pytest.mark.parametrize("asked", [True, False])
def test_the_oracle_is_blamed_also_where_it_was_not_asked_for(tmp_path, spoil, monkeypatch, asked):
    monkeypatch.setattr(FullRecompute, "self_kv", lambda self, shape: spoil())
    strategies = select("core") if asked else select(["static_kv", "contiguous_kv"])
    error, rows = spoiled_by(strategies, tmp_path)
    assert error.label == "full_recompute"
    assert ("full_recompute" in rows) == asked
    assert set(error.left) == {strategy.label for strategy in strategies} - {"full_recompute"}


def test_without_the_oracle_the_usual_rule_holds(tmp_path):
    faults = {"full_recompute": Fault(ASSERTED, "lines", "mine.py, line 3")}
    measure = MeasureConfig(rounds=2, warmup=0)
    found = run_cell(CELL, select("core"), measure, tmp_path, Progress(1, 1), Contenders(), faults)
    rows = {row.strategy: row for row in found}
    assert rows["full_recompute"].status == "failed"
    assert rows["full_recompute"].reason.startswith(ASSERTED)
    assert {rows[label].status for label in ("cross_kv", "contiguous_kv", "static_kv")} == {"ok"}
    why = f"as full_recompute failed: {ASSERTED} (mine.py, line 3)"
    assert rows["cross_kv"].reason == f"compared with nothing, {why}"
    assert rows["static_kv"].reason == f"compared with the logits of cross_kv, {why}"


def test_contenders_are_not_judged_by_an_oracle_that_spoiled_cuda():
    admission = Admission(CELL, None, None, None, {}, Progress(1, 1), "failed: of an assertion")
    with pytest.raises(StrategyError, match="full_recompute, which judges the others, failed: of an assertion"):
        admission.oracle()


def test_an_oracle_that_spoils_cuda_again_fails_the_cell_so_that_it_ends(tmp_path, spoil, monkeypatch):
    """Only a contender could still ask for it."""

    def asked(*arguments):
        with answering("full_recompute"):
            spoil()

    monkeypatch.setattr(runner.CellRun, "_time", asked)
    error, rows = spoiled_by(select("static_kv"), tmp_path, faults={"full_recompute": Fault(ASSERTED)})
    assert (error.label, list(error.left)) == ("full_recompute", [])
    assert rows["static_kv"][0] == "failed"


@pytest.mark.parametrize("place", [(runner.Prepared, "of"), (Calibrator, "measure")])
def test_what_belongs_to_no_arm_fails_all_that_are_open(tmp_path, spoil, monkeypatch, place):
    def deed(*arguments):
        spoil()
        refused()

    monkeypatch.setattr(*place, deed)
    error, rows = spoiled_by(select("core"), tmp_path)
    assert (error.label, list(error.left)) == ("", [])
    assert set(rows.values()) == {("failed", f"{ASSERTED}; traceback in cells/{CELL.id}/traceback-cell.txt")}


def test_arms_that_all_ended_an_earlier_process_are_written_without_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(runner.CellRun, "_measure_all", refused)
    faults = {strategy.label: Fault("its process was ended by SIGSEGV") for strategy in select("core")}
    measure = MeasureConfig(rounds=2, warmup=0)
    found = run_cell(CELL, select("core"), measure, tmp_path, Progress(1, 1), Contenders(), faults)
    assert {row.reason for row in found} == {"its process was ended by SIGSEGV"}


def test_roofline_ends_with_one_line(spoil, monkeypatch, capsys, tmp_path):
    def deed(*arguments):
        spoil()
        refused()

    monkeypatch.setattr("suites.ceilings.meter.Meter", deed)
    assert main(["roofline", "device=cpu", "threads=1", f"hydra.run.dir={tmp_path / 'roofline'}"]) == 1
    told = capsys.readouterr().err
    assert told == f"decodebench: CUDA is spoiled for this process: {ASSERTED}; run again\n"


def test_a_cuda_error_outside_of_any_arm_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("suites.verbs.list.main", refused)
    assert main(["list"]) == 1
    line = f"decodebench: {ASSERTED}; see whether the GPU works (nvidia-smi), and run again\n"
    assert capsys.readouterr().err == line
