"""What the proof of equality sees of a model with random weights, which would choose one token again and again."""

from dataclasses import dataclass, replace

import pytest
import torch

from strategies import DTYPES, ModelSpec, load_model, parse
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.search.beam import BeamSearch
from strategies.search.options import Beam
from strategies.search.searching import Chosen
from strategies.table_store import BeamTable
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import Turning, check
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock

from .planted import ShiftedArm

SHAPE = {"architecture": "t5", "vocab_size": 200, "d_model": 64, "num_heads": 4, "d_kv": 16, "d_ff": 128,
         "encoder_layers": 2, "decoder_layers": 2}  # fmt: skip
STEPS = 8
CELL = Cell(ModelSpec("small", "random", shape=tuple(sorted(SHAPE.items()))), 6, STEPS, 1, "cpu", "fp32", 1, 0, "fixed")


class Turned(ContiguousStore):
    """Gives the keys of each head to the next one."""

    def append(self, k_BGTK, v_BGTK, step):
        return super().append(k_BGTK.roll(1, 1), v_BGTK, step)


@dataclass(frozen=True)
class WrongHeads(ContiguousKV):
    def self_kv(self, shape):
        return Turned(shape)


@pytest.fixture(scope="module")
def model():
    return load_model(CELL.model, DTYPES["fp32"], seed=CELL.seed)


def agreement(model, kind, strategy, fed=None):
    """The agreement of one arm with full recompute; ``fed`` gets the tokens that are fed."""
    inputs = make_inputs(CELL, model.config)
    oracle = StrategyArm(parse("full_recompute"), model, inputs, CELL)
    step = oracle.session.step

    def noted(token_B):
        if fed is not None:
            fed.append(token_B.item())
        return step(token_B)

    oracle.session.step = noted
    (found,) = check(oracle, [kind(strategy, model, inputs, CELL)], "fp32", oracle.search(), True)
    return found


def test_greedy_choices_of_such_a_model_are_one_token():
    """If they were not, these tests would show nothing."""
    model = load_model(CELL.model, DTYPES["fp32"], seed=CELL.seed)
    inputs = make_inputs(CELL, model.config)
    arm = StrategyArm(parse("static_kv"), model, inputs, CELL)
    arm.prefill()
    token_B, chosen = torch.tensor([model.config.start_id]), set()
    for _ in range(STEPS):
        token_B = arm.session.step(token_B).argmax(-1)
        chosen.add(token_B.item())
    assert len(chosen) == 1


def test_no_token_is_fed_twice(model):
    fed = []
    assert not agreement(model, StrategyArm, parse("static_kv"), fed).reason
    assert len(set(fed)) == len(fed) == STEPS


@pytest.mark.parametrize(("kind", "strategy"), [(StrategyArm, WrongHeads()), (ShiftedArm, ContiguousKV())])
def test_wrong_keys_and_wrong_positions_are_caught(model, kind, strategy):
    assert "differ by" in agreement(model, kind, strategy).reason


class Unmoved(ContiguousStore):
    """Leaves every beam where it is."""

    def select(self, parent_B, step):
        own_B = torch.arange(len(parent_B))
        super().select(own_B, step)


@dataclass(frozen=True)
class WrongBeams(ContiguousKV):
    def self_kv(self, shape):
        return Unmoved(shape)


def of_beams(model, strategy, beams, stop="fixed"):
    """The agreement of a strategy with full recompute, both with several beams, and the arm of full recompute."""
    cell = replace(CELL, batch_size=2, search=Beam(beams), stop=stop)
    inputs = make_inputs(cell, model.config)
    oracle, arm = (StrategyArm(each, model, inputs, cell) for each in (parse("full_recompute"), strategy))
    (found,) = check(oracle, [arm], "fp32", oracle.search(), stop == "fixed")
    return found, oracle


@pytest.mark.parametrize("beams", [2, 3])
@pytest.mark.parametrize("stop", ["fixed", "eos"])
@pytest.mark.parametrize("label", ["contiguous_kv", "static_kv(reorder=table)", "static_kv(cross_beams=expanded)"])
def test_a_right_strategy_agrees_with_several_beams(model, label, beams, stop):
    assert of_beams(model, parse(label), beams, stop)[0].reason == ""


@pytest.mark.parametrize("beams", [2, 3])
@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_beams_that_stay_where_they_are_show_even_where_the_search_moves_none(model, beams, stop, monkeypatch):
    assert "logits of row" in of_beams(model, WrongBeams(), beams, stop)[0].reason
    own_BW = torch.arange(beams).expand(2, -1)
    choose = BeamSearch.choose
    monkeypatch.setattr(
        BeamSearch, "choose", lambda self, logits_XV: replace(choose(self, logits_XV), parent_BW=own_BW)
    )
    assert "logits of row" in of_beams(model, WrongBeams(), beams, stop)[0].reason
    assert of_beams(model, parse("contiguous_kv"), beams, stop)[0].reason == ""


def test_a_table_of_an_earlier_batch_shows(model, monkeypatch):
    monkeypatch.setattr(BeamTable, "reset", lambda self: None)
    assert "logits of row" in of_beams(model, parse("static_kv(reorder=table)"), 2)[0].reason


def test_the_search_decides_the_same_whatever_the_order_in_which_its_beams_are_fed(model):
    cell = replace(CELL, batch_size=2, search=Beam(3))
    arm = StrategyArm(parse("contiguous_kv"), model, make_inputs(cell, model.config), cell)
    arm.decode(CpuClock())
    straight, searching = arm.found.token_RN, arm.search()
    turning, chosen = Turning(searching, 3), Chosen(torch.full((6,), model.config.start_id))
    arm.prefill()
    for _ in range(STEPS):
        arm.go_on(chosen)
        chosen = turning.choose(arm.session.step(chosen.token_X).clone())
    searching.finish()
    assert torch.equal(searching.sequences().token_RN, straight)
