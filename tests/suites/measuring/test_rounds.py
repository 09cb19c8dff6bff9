"""The rounds of a cell: they stop by themselves, the A/A arm and the calibrations among them, and what they leave."""

import dataclasses
import gc
import itertools
import time

import pytest
import torch

from strategies import ModelSpec, select
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from suites.contenders.running import process
from suites.contenders.running.lineup import Contenders
from suites.judging.noise import noises
from suites.measuring import arms as arms_module
from suites.measuring.calibration import AT_LEAST, Calibrator
from suites.measuring.runner import run_cell
from suites.measuring.stopping import HalfWidth
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.store import cell_folder
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.records import Round, crossed_label, twin_label
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.timing.quiet import WATCHED_S
from suites.words.progress import Progress
from suites.work.planning import effort

SHAPE = {
    "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 1, "decoder_layers": 1
}  # fmt: skip
CELL = Cell(ModelSpec("sliver", "random", shape=tuple(sorted(SHAPE.items()))), 5, 6, 2, "cpu", "fp32", 1, 0, "fixed")
TWIN, CROSSED = twin_label("full_recompute"), crossed_label("full_recompute")


@pytest.fixture
def no_child(monkeypatch):
    """No child process starts in time."""
    monkeypatch.setattr(process, "STARTING_S", 0.0)


def measured(folder, strategies="core", progress=None, **measure):
    """The one cell of a run."""
    chosen = select(strategies) if isinstance(strategies, str) else strategies
    settings = MeasureConfig(**{"rounds": 2, "warmup": 1} | measure)
    run_cell(CELL, chosen, settings, folder, progress or Progress(1, 1), Contenders())
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": CELL.id}]})
    (result,) = read_cells(folder)
    return result


def scripted(monkeypatch, ratio):
    """Rounds decode, but last what is written: 1 s, and ``ratio(index)`` s for cached strategies."""
    real = arms_module.StrategyArm.round

    def round_of(arm, index, warmup, clock):
        done = real(arm, index, warmup, clock)
        scale = 1.0 if "full_recompute" in arm.label else ratio(index)
        return dataclasses.replace(done, marks_s=[scale * i / 7 for i in range(8)])

    monkeypatch.setattr(arms_module.StrategyArm, "round", round_of)


@pytest.mark.parametrize(
    ("ratio", "measure", "rounds", "why"),
    [
        (lambda i: 0.5, {}, 3, "precision"),
        (lambda i: 0.5 * (1.02 if i % 2 else 1), {}, 4, "precision"),
        (lambda i: 0.5 * (1.5 if i % 2 else 1), {}, 9, "rounds_max"),
        (lambda i: 0.5 * (1.5 if i % 2 else 1), {"seconds_max": 1e-9}, 3, "seconds_max"),
        (lambda i: 0.5 * (1.5 if i % 2 else 1), {"precision": None}, 3, "rounds"),
    ],
)
def test_rounds_end_by_the_rule_and_the_table_says_which(tmp_path, monkeypatch, ratio, measure, rounds, why):
    scripted(monkeypatch, ratio)
    result = measured(tmp_path, **{"rounds": 3, "precision": 0.02, "rounds_max": 9, "seconds_max": 1e9} | measure)
    assert {r.index for r in result.rounds} == set(range(-1, rounds))
    table = case_table([result])
    assert (table["rounds"] == rounds).all()
    assert (table["stopped_by"] == why).all()


@pytest.mark.usefixtures("no_child")
def test_progress_ends_at_what_was_done_however_many_rounds_there_were(tmp_path, monkeypatch):
    for name, ratio in (("more", lambda i: 1.5 if i % 2 else 1), ("as planned", lambda i: 0.5)):
        scripted(monkeypatch, ratio)
        settings = {"rounds": 3, "precision": 0.02, "rounds_max": 9, "aa": True}
        work = effort(CELL, select("core"), MeasureConfig(**{"warmup": 1} | settings)).work
        progress = Progress(work, 1)
        measured(tmp_path / name, progress=progress, **settings)
        assert progress._line.done == pytest.approx(progress._line.total)


def test_the_a_a_arms_run_the_baseline_again_here_and_in_a_child_and_are_no_strategies(tmp_path):
    work = effort(CELL, select("core"), MeasureConfig(rounds=2, warmup=1, aa=True)).work
    progress = Progress(work, 1)
    result = measured(tmp_path, aa=True, progress=progress)
    labels = ("full_recompute", TWIN, CROSSED)
    indices = {label: [r.index for r in result.rounds if r.strategy == label] for label in labels}
    assert list(indices.values()) == [[-1, 0, 1]] * 3
    assert {len(r.marks_s) for r in result.rounds if r.strategy in labels} == {CELL.tgt_len + 2}
    assert not any(r.collections for r in result.rounds)
    assert {r.others_cores is None for r in result.rounds if r.strategy == CROSSED} == {False}
    assert {TWIN, CROSSED}.isdisjoint(arm.strategy for arm in result.arms)
    assert (result.conditions.aa_reason, result.conditions.crossed_reason) == ("", "")
    table = case_table([result]).set_index("strategy")
    for floor in ("noise_floor", "crossed_floor"):
        assert table.loc["full_recompute", floor] > 0
        assert table[floor].notna().sum() == 1
    assert progress._line.done == pytest.approx(progress._line.total)
    assert {TWIN, CROSSED}.isdisjoint(r.strategy for r in measured(tmp_path).rounds)


@pytest.mark.usefixtures("no_child")
def test_without_full_recompute_the_first_strategy_is_repeated(tmp_path):
    result = measured(tmp_path, select(["static_kv", "contiguous_kv"]), aa=True)
    assert "static_kv (A/A)" in {r.strategy for r in result.rounds}


@pytest.mark.usefixtures("no_child")
def test_an_a_a_arm_that_fails_costs_no_strategy_and_is_told(tmp_path, monkeypatch):
    def fails(arm):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(arms_module.StrategyArm, "twin", fails)
    result = measured(tmp_path, aa=True)
    assert {arm.status for arm in result.arms} == {"ok"}
    assert result.conditions.aa_reason == "out of memory: no room"
    assert result.conditions.crossed_reason == "its process did not start within 0 s"


def test_every_arm_begins_its_rounds_rested_as_a_contender_s_process_does(tmp_path, monkeypatch):
    real, seen = arms_module.StrategyArm.round, []

    def round_of(arm, index, warmup, clock):
        began = time.perf_counter()
        done = real(arm, index, warmup, clock)
        seen.append((began, time.perf_counter()))
        return done

    monkeypatch.setattr(arms_module.StrategyArm, "round", round_of)
    measured(tmp_path)
    rests_s = [began - ended for (_, ended), (began, _) in itertools.pairwise(seen)]
    assert len(rests_s) == 11
    assert min(rests_s) >= WATCHED_S


def test_calibrations_are_among_the_rounds_and_in_the_table(tmp_path):
    result = measured(tmp_path, rounds=5)
    assert [c.index for c in result.calibrations][: AT_LEAST + 1] == [-1, 0, 1, 2]
    assert [c.warmup for c in result.calibrations][:2] == [True, False]
    assert all(c.read_bytes_per_s > 0 and c.gemm_flops_per_s > 0 for c in result.calibrations)
    table = case_table([result])
    columns = ["calibration_read_gb_per_s", "calibration_gemm_gflops_per_s"]
    assert (table[columns] > 0).all().all()
    assert table[columns].nunique().tolist() == [1, 1]


def test_calibrations_stand_at_changing_places_of_a_round(tmp_path):
    places = set()
    for seed in range(4):
        cell = dataclasses.replace(CELL, seed=seed)
        run_cell(cell, select("core"), MeasureConfig(rounds=2, warmup=0), tmp_path, Progress(1, 1), Contenders())
        lines = (tmp_path / "cells" / cell.id / "rounds.jsonl").read_text().splitlines()
        places |= {index % 5 for index, line in enumerate(lines) if "calibration" in line}
        if len(places) > 1:
            return
    raise AssertionError(f"at {places} in each of four cells")


def test_after_the_first_few_calibrations_come_only_as_long_as_they_cost_little():
    calibrator = Calibrator("cpu")
    calibrator._counted, calibrator._spent_s, calibrator._cost_s = AT_LEAST, 0.03, 0.01
    assert not calibrator.due(rounds_s=1.9)
    assert calibrator.due(rounds_s=2.1)
    calibrator._counted = AT_LEAST - 1
    assert calibrator.due(rounds_s=0.0)


def test_a_device_without_room_for_a_calibration_is_measured_all_the_same(tmp_path, monkeypatch):
    def fails(*rest):
        raise torch.OutOfMemoryError("no room")

    for place in ("__init__", "measure"):
        monkeypatch.setattr(Calibrator, place, fails)
        result = measured(tmp_path)
        assert {arm.status for arm in result.arms} == {"ok"}
        assert result.calibrations == []
        assert case_table([result])["calibration_read_gb_per_s"].isna().all()
        monkeypatch.undo()


class LitterStore(ContiguousStore):
    def append(self, k_BHTK, v_BHTK, step):
        gc.collect(0)
        return super().append(k_BHTK, v_BHTK, step)


@dataclasses.dataclass(frozen=True)
class Litter(ContiguousKV):
    label = "litter"

    def self_kv(self, shape):
        return LitterStore(shape)


def test_a_strategy_that_collects_garbage_inside_its_rounds_is_named(tmp_path):
    result = measured(tmp_path, [*select("core"), Litter()])
    spoiled = {r.strategy for r in result.rounds if r.collections}
    assert spoiled == {"litter"}
    (noise,) = (noise for noise in noises(result) if noise.kind == "garbage collection")
    assert noise.cause == "Python's garbage was collected inside 2 rounds of litter"


@pytest.mark.usefixtures("no_child")
def test_a_cell_without_any_arm_left_ends(tmp_path, monkeypatch):
    def fails(arm, index, warmup, clock) -> Round:
        raise RuntimeError("broken")

    monkeypatch.setattr(arms_module.StrategyArm, "round", fails)
    result = measured(tmp_path, precision=0.02, aa=True)
    assert all(arm.reason.startswith("RuntimeError: broken; traceback in cells/") for arm in result.arms)
    assert result.rounds == []


def test_a_late_round_costs_the_stopping_rule_and_the_folder_what_an_early_one_does(tmp_path, monkeypatch):
    """The rule sees each time once, and a round is one line of its own, however many rounds there were."""
    scripted(monkeypatch, lambda i: 0.5 * (1.5 if i % 2 else 1))
    added, written = [], []
    add, append = HalfWidth.add, cell_folder.append_line
    monkeypatch.setattr(HalfWidth, "add", lambda width, *pairs: (added.append(len(pairs[0])), add(width, *pairs))[1])
    monkeypatch.setattr(cell_folder, "append_line", lambda path, line: (written.append(line), append(path, line))[1])
    rounds = 40
    result = measured(tmp_path, rounds=2, precision=1e-9, rounds_max=rounds)
    assert added == [1] * (3 * rounds)
    lines = [line for line in written if "calibration" not in line]
    assert len(lines) == len(result.rounds) == 4 * (rounds + 1)
    of_arm = [len(line) for line in lines if '"cross_kv"' in line]
    assert max(of_arm[21:]) <= max(of_arm[1:20]) + 1, "one more digit of the index"


def test_rounds_go_on_with_the_first_arm_left_once_the_baseline_fails(tmp_path, monkeypatch):
    scripted(monkeypatch, lambda i: 0.5)
    real = arms_module.StrategyArm.round

    def fails(arm, index, warmup, clock):
        if arm.label == "full_recompute" and index == 5:
            raise RuntimeError("lost")
        return real(arm, index, warmup, clock)

    monkeypatch.setattr(arms_module.StrategyArm, "round", fails)
    result = measured(tmp_path, rounds=8, precision=0.02, rounds_max=20)
    assert result.conditions.stopped_by == "precision"
    assert [arm.status for arm in result.arms] == ["failed", "ok", "ok", "ok"]
