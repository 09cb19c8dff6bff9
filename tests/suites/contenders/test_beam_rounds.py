"""Rounds of beam search as the run's process sees them: rows, scores and marks that are possible, and what is not."""

import dataclasses
import importlib.util
import json

import pytest

from strategies import config_of, load_model, parse
from strategies.search.options import Beam
from suites.contenders import Contender, ContenderError, Decoded
from suites.contenders.running import arm as arm_module
from suites.contenders.running import lineup
from suites.contenders.running.arm import ContenderArm
from suites.contenders.running.beam_agreement import BeamOracle
from suites.contenders.running.child import Served
from suites.contenders.running.own_strategy import Own
from suites.measuring.arms import StrategyArm
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock
from tests.suites.contenders.conftest import SRC_IDS, STEPS, Events, cell_of

RETURNED = 2
END = config_of(cell_of("eos").model).eos_ids[0]
SHORT, LONG = [3, 4, END], [5] * 6 + [END]
STEPS_TAKEN = 9


class Process:
    """In place of a contender's process: it gives ``answer`` to every round."""

    pid = 0
    answer = None

    def __init__(self, *_):
        pass

    def ask(self, **request):
        if request["do"] == "prepare":
            return {"setup_s": 0.0, "peak_memory_bytes": None, "rss_bytes": 8}
        return self.answer

    def close(self):
        pass


def answer(**changes):
    sound = {
        "token_ids": [LONG, SHORT, SHORT, SHORT], "marks_s": [float(mark) for mark in range(STEPS_TAKEN + 2)],
        "every_step": True, "scores": [-1.0, -2.0, -1.0, -2.0], "collections": 0, "wall_s": 1.0, "own_cpu_s": 1.0,
        "busy_cpu_s": None, "rss_bytes": 9, "peak_rss_bytes": 9,
    }  # fmt: skip
    return sound | changes


@pytest.fixture
def arm(monkeypatch, tmp_path):
    monkeypatch.setattr(arm_module, "Process", Process)
    cell = dataclasses.replace(cell_of("eos"), search=Beam(num_beams=4, num_return=RETURNED))
    return ContenderArm("any", cell, config_of(cell.model), SRC_IDS, tmp_path, 1.0)


def test_it_may_take_more_steps_than_the_longest_sequence_that_it_returns_has_tokens(arm, monkeypatch):
    monkeypatch.setattr(Process, "answer", answer())
    done = arm.round(0, False, Events(True))
    assert len(done.marks_s) == STEPS_TAKEN + 2 > len(LONG) + 2
    assert arm.row_lens() == [len(LONG), len(SHORT), len(SHORT), len(SHORT)]
    assert arm.scores == [-1.0, -2.0, -1.0, -2.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_ids": [LONG, SHORT]}, "gave rows of [7, 3] tokens; give 4 rows of 1 to 12 tokens"),
        ({"scores": [-1.0]}, "gave 1 scores of 4 sequences; give one for each, or none"),
        ({"marks_s": [0.0, *range(1, len(LONG) + 1)]}, "gave 8 marks for 7 steps; give 9 to 14, ascending from 0"),
        ({"marks_s": [0.0, *range(1, STEPS + 3)]}, "gave 15 marks for 7 steps; give 9 to 14, ascending from 0"),
        ({"every_step": False}, "gave 11 marks for 7 steps; give 4, ascending from 0"),
    ],
)
def test_what_is_impossible_ends_a_contender(arm, monkeypatch, changes, message):
    monkeypatch.setattr(Process, "answer", answer(**changes))
    with pytest.raises(ContenderError) as raised:
        arm.round(0, False, Events(True))
    assert str(raised.value) == message


class Told(Contender):
    """Tells the search that it was prepared for."""

    def prepare(self, checkpoint, cell):
        self.search = cell.search

    def round(self, src_ids, stop):
        return Decoded([LONG, SHORT], [0.0, 1.0], scores=[-1.0, -2.0])


def test_a_child_is_prepared_for_the_search_of_the_cell_and_passes_scores_on(request_of):
    search = Beam(num_beams=5, length_penalty=0.5, early_stopping="never", num_return=2)
    contender = Told()
    served = Served(contender)
    served.prepare(json.loads(json.dumps(request_of(dataclasses.replace(cell_of("eos"), search=search)))))
    assert contender.search == search
    assert served.round({"every_step": True})["scores"] == [-1.0, -2.0]


def test_our_own_strategy_in_a_child_decodes_by_the_search_of_the_cell(tmp_path):
    cell = dataclasses.replace(cell_of("eos"), search=Beam(num_beams=4, num_return=RETURNED))
    model = load_model(cell.model, seed=cell.seed)
    oracle = StrategyArm(parse("full_recompute"), model, make_inputs(cell, model.config), cell)
    found = BeamOracle(oracle, cell, "fp32").found()
    own = Own("static_kv")
    own.prepare(tmp_path, cell)
    decoded = own.round(SRC_IDS, "eos")
    assert decoded.token_ids == found.rows
    assert decoded.scores == pytest.approx(found.scores, rel=1e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("ctranslate2") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
)
def test_those_whose_sequences_are_the_oracle_s_are_timed_each_in_its_own_process(tmp_path, monkeypatch):
    monkeypatch.setattr(lineup, "cache_of", lambda run_dir: tmp_path)
    cell = dataclasses.replace(cell_of("eos"), search=Beam(num_beams=4, num_return=RETURNED, early_stopping="true"))
    model = load_model(cell.model, seed=cell.seed)
    inputs, told = make_inputs(cell, model.config), []
    oracle = StrategyArm(parse("full_recompute"), model, inputs, cell)
    names = ["transformers_dynamic", "ctranslate2_float32"]
    given = inputs, 100.0, lambda: oracle, lambda *line: told.append(line), tmp_path, lambda name, fault: fault.reason
    with lineup.Contenders(names).line_up(cell, model, *given) as arms:
        assert [(arm.label, arm.remark) for arm in arms] == [(name, "") for name in names]
        for arm in arms:
            done = arm.round(0, False, CpuClock())
            assert len(arm.token_ids) == 2 * RETURNED
            assert done.every_step == (arm.label == names[0])
    assert not told
