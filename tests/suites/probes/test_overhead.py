"""The shrunk model asks for what the model asks for."""

from collections import Counter
from dataclasses import asdict

import pytest
import torch

from strategies import Session, greedy, load_model, parse
from strategies.models.load import ModelSpec
from suites.guarding.pairs import time_ratio
from suites.probes.dispatch import OperatorMode
from suites.probes.overhead import dispatch_s, shrunk
from suites.timing.clock import CpuClock


def operators(model, strategy):
    seen = Counter()
    session = Session(model, strategy, 1, 1, 4)
    with OperatorMode(lambda func, args, out: seen.update([str(func)])):
        session.prefill(torch.full((1, 1), 2))
        assert len(list(greedy(session, "fixed"))) == 4
    return seen


def test_a_step_of_the_shrunk_model_runs_the_same_operators(strategy, architecture, tiny_model):
    model = tiny_model(architecture)
    shape = tuple(asdict(shrunk(model.config)).items())
    assert operators(model, strategy) == operators(load_model(ModelSpec("s", "random", shape=shape)), strategy)


def test_more_layers_take_more_dispatch_and_wider_ones_do_not(tiny_model):
    base = tiny_model("t5").config

    def dispatch(**changes):
        config = tiny_model("t5", **changes).config
        return lambda: dispatch_s(config, parse("static_kv"), "fp32", "cpu", CpuClock())

    assert shrunk(tiny_model("t5", d_ff=512).config) == shrunk(base)
    assert time_ratio(dispatch(decoder_layers=8), dispatch(decoder_layers=2), pairs=4).value > 1.5


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_it_is_measured_in_the_type_of_the_cell(tiny_model, dtype):
    assert dispatch_s(tiny_model("t5").config, parse("static_kv"), dtype, "cpu", CpuClock()) > 0
