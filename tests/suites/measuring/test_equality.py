"""What the proof of equality sees of a model with random weights, which would choose one token again and again."""

from dataclasses import dataclass

import pytest
import torch

from strategies import DTYPES, ModelSpec, load_model, parse
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import check
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs

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
