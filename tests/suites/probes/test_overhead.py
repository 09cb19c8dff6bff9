"""The shrunk model asks for what the model asks for."""

from collections import Counter
from dataclasses import asdict

import pytest

from strategies import ModelConfig, Session, greedy, load_model, parse
from strategies.models.kernels.packing import unavailable_on
from strategies.models.load import ModelSpec
from strategies.models.sources import placeholder
from suites.guarding.pairs import time_ratio
from suites.probes.dispatch import OperatorMode
from suites.probes.overhead import dispatch_s, shrunk
from suites.timing.clock import CpuClock


def operators(model, strategy):
    seen = Counter()
    length = model.config.src_positions or 1
    session = Session(model, strategy, 1, length, 4)
    with OperatorMode(lambda func, args, out: seen.update([str(func)])):
        session.prefill(placeholder(model.config, 1, length))
        assert len(list(greedy(session, "fixed"))) == 4
    return seen


def loaded(config):
    return load_model(ModelSpec("s", "random", shape=tuple(asdict(config).items())))


def test_a_step_of_the_shrunk_model_runs_the_same_operators(strategy, architecture, tiny_model):
    model = tiny_model(architecture)
    assert operators(model, strategy) == operators(loaded(shrunk(model.config)), strategy)


def test_more_layers_take_more_dispatch_and_wider_ones_do_not(tiny_model):
    base = tiny_model("t5").config

    def dispatch(**changes):
        config = tiny_model("t5", **changes).config
        return lambda: dispatch_s(config, parse("static_kv"), "fp32", "cpu", CpuClock())

    assert shrunk(tiny_model("t5", d_ff=512).config) == shrunk(base)
    assert time_ratio(dispatch(decoder_layers=8), dispatch(decoder_layers=2), pairs=4).value > 1.5


def test_a_step_of_a_model_that_reads_features_runs_the_same_operators_when_it_is_shrunk():
    sizes = {"d_model": 12, "num_heads": 3, "d_kv": 8, "d_ff": 20, "encoder_layers": 1, "decoder_layers": 2}
    features = {"architecture": "whisper", "mel_bins": 5, "src_positions": 4, "tgt_positions": 20}
    ids = {"vocab_size": 5000, "start_id": 4000, "eos_id": 4001, "pad_id": 4001, "prefix_ids": (4002, 4003)}
    config = ModelConfig(**sizes, **features, **ids)
    small = shrunk(config)
    assert (small.vocab_size, small.mel_bins, small.src_positions, small.prefix_len) == (6, 1, 1, 3)
    first, second = (operators(loaded(each), parse("contiguous_kv")) for each in (config, small))
    assert first == second


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_it_is_measured_in_the_type_of_the_cell(tiny_model, dtype):
    assert dispatch_s(tiny_model("t5").config, parse("static_kv"), dtype, "cpu", CpuClock()) > 0


def test_native_layers_ask_for_a_part_of_the_operators(tiny_model):
    if why := unavailable_on("cpu", "panel"):
        pytest.skip(why)
    seen = {True: Counter(), False: Counter()}
    for native, counted in seen.items():
        with OperatorMode(lambda func, args, out, counted=counted: counted.update([str(func)])):
            dispatch_s(tiny_model("t5").config, parse("static_kv"), "fp32", "cpu", CpuClock(), native=native)
    assert 0 < seen[True].total() < seen[False].total() / 2
    assert "aten.mm.default" not in seen[True]
