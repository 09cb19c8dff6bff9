"""Compiled and captured steps: the answers of the oracle at each step, in one graph that serves every position."""

import contextlib
import copy
import dataclasses
import functools
import itertools
from unittest import mock

import pytest
import torch

from strategies import Session, StrategyError, parse, registry, static_kv
from strategies import execution as execution_module
from strategies.execution import is_captured
from strategies.models.kernels import compiling, execution
from strategies.models.kernels.compiling import CompileError
from strategies.models.kernels.execution import _COMPILED, Captured, Compiled, compiled
from strategies.models.kernels.linears import use_linear
from strategies.models.stores import Step
from strategies.static_kv import StaticKV
from tests.conftest import ARCHITECTURES

BATCH, SRC_LEN, TARGET = 2, 5, 11
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
CUDA_EXECUTIONS = [pytest.param("graph", marks=CUDA)]
EXECUTIONS = ["compiled", *CUDA_EXECUTIONS]
COMPILED = "static_kv(execution=compiled,read=bucket)"
COMPILABLE = [s.label for entry in registry().values() if (s := entry.make().executed("compiled"))]
PAIRS = [
    (architecture, label)
    for (i, architecture), (j, label) in itertools.product(enumerate(ARCHITECTURES), enumerate(COMPILABLE))
    if (i + i // 2 + j) % 2 == 0
]
"""Half of all pairs, as each compiles for seconds: every strategy has T5 and the other architecture, and one of the two
shares K/V heads."""
T5_PAIRS = [(architecture, label) for architecture, label in PAIRS if architecture.startswith("t5")]
STATIC_T5 = next(architecture for architecture, label in T5_PAIRS if label == COMPILED)
NEAR = {"rtol": 1e-4, "atol": 1e-5}


def near(strategy):
    """What an approximate strategy rounds may fall to the other side in compiled code."""
    return NEAR if strategy.exact else {"rtol": 0, "atol": 0.05}


def oracle_of(strategy):
    """An approximate strategy has its own logits in every execution."""
    return parse("full_recompute") if strategy.exact else dataclasses.replace(strategy, execution="eager")


@pytest.fixture
def several_buckets(monkeypatch):
    """4, 8 and the capacity for a short target, which has one bucket otherwise."""
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", 4)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled():
    yield
    torch.compiler.reset()


def model_of(tiny_model, architecture, decoder_layers=1):
    """Sizes differ, as everywhere. They are multiples of four, with which the compiler is faster than with odd ones."""
    sizes = {"vocab_size": 100, "d_model": 20, "num_heads": 4, "d_kv": 8, "d_ff": 48}
    return copy.deepcopy(tiny_model(architecture, **sizes, decoder_layers=decoder_layers)).to(DEVICE)


def two_layers(tiny_model, architecture=STATIC_T5):
    """A T5 whose second layer uses the first one's bias. Tests of the same one share what is compiled."""
    return model_of(tiny_model, architecture, decoder_layers=2)


def sources(padded):
    draw = torch.Generator().manual_seed(1)
    src_BS = torch.randint(2, 29, (BATCH, SRC_LEN), generator=draw).to(DEVICE)
    mask_BS = torch.arange(SRC_LEN) < torch.tensor([SRC_LEN, 2])[:, None]
    return (src_BS, mask_BS.to(DEVICE)) if padded else (src_BS, None)


def logits(session, given, device=DEVICE):
    session.prefill(*given)
    tokens = [torch.full((BATCH,), 3 + k, device=device) for k in range(TARGET)]
    return [session.step(token_B).clone() for token_B in tokens]


def agrees_with_the_oracle(model, strategy):
    """At each step, for sources with padding and without; no position compiles anew."""
    oracle = Session(model, oracle_of(strategy), BATCH, SRC_LEN, TARGET)
    session = Session(model, strategy, BATCH, SRC_LEN, TARGET)
    with torch.compiler.set_stance("fail_on_recompile"):
        for padded in (False, True):
            for expected, found in zip(*(logits(s, sources(padded)) for s in (oracle, session)), strict=True):
                torch.testing.assert_close(found, expected, **near(strategy))


def test_half_of_all_pairs_have_every_strategy_with_both_architectures_and_with_shared_heads():
    for label in COMPILABLE:
        mine = {architecture for architecture, other in PAIRS if other == label}
        assert {architecture.split()[0] for architecture in mine} == {"t5", "transformer2017"}
        assert {" " in architecture for architecture in mine} == {True, False}


@pytest.mark.parametrize(("architecture", "label"), PAIRS)
def test_every_step_has_the_oracles_logits_and_compiles_nothing(tiny_model, architecture, label, monkeypatch, request):
    """With the compiler's guards, which would notice what a graph took for a constant and a position changes.

    Several layers and buckets are tried with T5 alone, as their number has no part in what differs.
    """
    monkeypatch.setattr(compiling, "few_guards", lambda guards: [True] * len(guards))
    if architecture.startswith("t5"):
        request.getfixturevalue("several_buckets")
        model = two_layers(tiny_model, architecture)
    else:
        model = model_of(tiny_model, architecture)
    agrees_with_the_oracle(model, parse(label))


@pytest.mark.usefixtures("several_buckets")
@pytest.mark.parametrize("execution", CUDA_EXECUTIONS)
def test_every_captured_step_by_buckets_has_the_oracles_logits(tiny_model, architecture, execution):
    layers = 2 if architecture.startswith("t5") else 1
    agrees_with_the_oracle(model_of(tiny_model, architecture, layers), StaticKV(read="bucket", execution=execution))


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_every_step_by_the_whole_buffer_has_the_oracles_logits(tiny_model, execution):
    agrees_with_the_oracle(two_layers(tiny_model), StaticKV(read="buffer", execution=execution))


@pytest.mark.parametrize(("kind", "label"), [*(("fused", label) for label in COMPILABLE), ("onednn", COMPILED)])
@pytest.mark.skipif(DEVICE == "cuda", reason="kernels of the CPU")
def test_a_single_row_by_another_kernel_has_the_oracles_logits(tiny_model, kind, label, monkeypatch):
    """Without guards, as users run it, in two buckets, and under a caller's inference mode too."""
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", 8)
    model = model_of(tiny_model, "t5")
    use_linear(model, kind, 1)
    strategy = parse(label)
    oracle, session = (Session(model, each, 1, SRC_LEN, TARGET) for each in (oracle_of(strategy), strategy))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), torch.compiler.set_stance("fail_on_recompile"):
            for each in (oracle, session):
                each.prefill(sources(False)[0][:1])
            for k in range(TARGET):
                expected, found = (each.step(torch.full((1,), 3 + k, device=DEVICE)) for each in (oracle, session))
                torch.testing.assert_close(found, expected, **near(strategy))


@pytest.mark.usefixtures("several_buckets")
@pytest.mark.parametrize(("architecture", "label"), T5_PAIRS)
def test_a_second_session_of_the_same_shape_compiles_nothing_and_reads_its_own(tiny_model, architecture, label):
    """Steps of both in turn, on sources that differ."""
    model = two_layers(tiny_model, architecture)
    given = sources(False), (sources(False)[0].flip(0), None)
    strategy = parse(label)
    sessions = [Session(model, strategy, BATCH, SRC_LEN, TARGET)]
    with torch.compiler.set_stance("fail_on_recompile"):
        others = strategy, oracle_of(strategy), oracle_of(strategy)
        sessions += [Session(model, each, BATCH, SRC_LEN, TARGET) for each in others]
        for session, each in zip(sessions, given * 2, strict=True):
            session.prefill(*each)
        for k in range(TARGET):
            one, other, *oracles = (s.step(torch.full((BATCH,), 3 + k, device=DEVICE)).clone() for s in sessions)
            for found, expected in zip((one, other), oracles, strict=True):
                torch.testing.assert_close(found, expected, **near(strategy))
            assert not torch.allclose(one, other)


def test_a_session_after_another_kernel_was_chosen_runs_that_one(tiny_model):
    model = two_layers(tiny_model)
    strategy = StaticKV(read="buffer", execution="compiled")
    before = logits(Session(model, strategy, BATCH, SRC_LEN, TARGET), sources(False))
    use_linear(model, "transposed", BATCH)
    assert model not in _COMPILED
    after = logits(Session(model, strategy, BATCH, SRC_LEN, TARGET), sources(False))
    for expected, found in zip(before, after, strict=True):
        torch.testing.assert_close(found, expected, **NEAR)


class Replayed:
    """Stands for a CUDA graph: reads the objects that it was captured with, and writes where it wrote."""

    def __init__(self, forward, given):
        self.forward, self.given, self.logits_BV = forward, given, forward(*given)

    def replay(self):
        self.logits_BV.copy_(self.forward(*self.given))


@pytest.fixture
def captures(monkeypatch):
    """List the graphs that sessions capture; every device counts as a CUDA device, on which stand-ins are captured."""

    def capture(self, *given):
        step = dataclasses.replace(given[2], length=-(10**6))  # a graph has no use for the host's length
        made.append(Replayed(self._forward, (*given[:2], step, *given[3:])))
        return made[-1], made[-1].logits_BV

    made = []
    monkeypatch.setattr(Captured, "_capture", capture)
    monkeypatch.setattr(
        execution_module, "is_captured", lambda strategy, device, beams: is_captured(strategy, "cuda", beams)
    )
    return made


@pytest.mark.usefixtures("several_buckets")
@pytest.mark.parametrize("cross", ["cached", "recompute"])
@pytest.mark.parametrize("read", ["buffer", "bucket"])
def test_a_captured_step_reads_what_each_prefill_and_step_put_in_place(tiny_model, captures, read, cross):
    """The session's side of capture, without a device: batches with padding and without, one after the other."""
    model = tiny_model("t5")
    oracle = Session(model, parse("full_recompute"), BATCH, SRC_LEN, TARGET)
    session = Session(model, StaticKV(read=read, cross=cross, execution="graph"), BATCH, SRC_LEN, TARGET)
    known = len(captures)
    assert known == {"buffer": 1, "bucket": 3}[read]
    for padded in (True, False, True):
        given = [tensor if tensor is None else tensor.cpu() for tensor in sources(padded)]
        for expected, found in zip(*(logits(s, given, "cpu") for s in (oracle, session)), strict=True):
            torch.testing.assert_close(found, expected, **NEAR)
    assert len(captures) == known, "capturing belongs to set-up"


@pytest.mark.usefixtures("several_buckets")
def test_on_cuda_a_compiled_step_is_captured_where_its_addresses_stay(tiny_model, captures):
    model = two_layers(tiny_model)
    oracle = Session(model, parse("full_recompute"), BATCH, SRC_LEN, TARGET)
    session = Session(model, parse(COMPILED), BATCH, SRC_LEN, TARGET)
    assert len(captures) == 3
    assert {type(graph.forward) for graph in captures} == {Compiled}
    for padded in (True, False):
        for expected, found in zip(*(logits(each, sources(padded)) for each in (oracle, session)), strict=True):
            torch.testing.assert_close(found, expected, **NEAR)
    assert len(captures) == 3


def test_a_growing_cache_is_compiled_and_never_captured():
    labels = "contiguous_kv(execution=compiled)", "static_kv(execution=graph,read=buffer)", COMPILED, "static_kv"
    assert [is_captured(parse(label), "cuda") for label in labels] == [False, True, True, False]
    assert not any(is_captured(parse(label), "cpu") for label in labels)


class Side:
    """Stands for a CUDA stream."""

    def wait_stream(self, other):
        pass


def test_garbage_is_collected_before_a_capture_and_the_step_runs_thrice_before(monkeypatch):
    events = []

    @contextlib.contextmanager
    def inside(*_, **named):
        events.append(f"enter {sorted(named)}" if named else "side stream")
        yield

    monkeypatch.setattr(torch.cuda, "Stream", Side)
    monkeypatch.setattr(torch.cuda, "current_stream", Side)
    monkeypatch.setattr(torch.cuda, "stream", inside)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: mock.Mock(replay=lambda: events.append("replay")))
    monkeypatch.setattr(torch.cuda, "graph", inside)
    monkeypatch.setattr(execution.gc, "collect", lambda: events.append("collect"))
    captured = Captured(lambda *given: events.append("run"))
    for variant in (1, 1, 2):
        captured(None, None, Step(1, 1, 1, None, variant), None)
    captures = ["side stream", "run", "run", "run", "collect", "enter ['pool']", "run", "replay"]
    assert events == [*captures, "replay", *captures]


def test_cases_have_functions_of_their_own(tiny_model, monkeypatch):
    """Each is made by a first call, and then kept."""
    monkeypatch.setattr(execution, "one_graph", lambda function, device: functools.partial(function))
    monkeypatch.setattr(execution, "next_logits", lambda model, *rest: rest)
    monkeypatch.setattr(execution, "proven", lambda forward, *given: forward(*given))
    model = copy.deepcopy(tiny_model("t5"))
    (a, first), (again, second), (b, _) = (compiled(case, model, 1, 2) for case in "aab")
    assert (a is again, a is b, first, second) == (True, False, (1, 2), (1, 2))


SWITCHED_OFF = {
    "TORCHDYNAMO_DISABLE": lambda: mock.patch.dict("os.environ", {"TORCHDYNAMO_DISABLE": "1"}),
    "torch._dynamo.config.disable": lambda: torch._dynamo.config.patch(disable=True),
}


@pytest.mark.parametrize("name", SWITCHED_OFF)
def test_a_session_whose_step_is_not_compiled_is_an_error_that_names_the_cause(tiny_model, name):
    told = rf"a step that was to be compiled was not: .*{name}.*leave execution=compiled out"
    with SWITCHED_OFF[name](), pytest.raises(CompileError, match=told):
        Session(copy.deepcopy(tiny_model("t5")), parse(COMPILED), BATCH, SRC_LEN, TARGET)


def test_a_stance_that_forbids_compiling_is_found(tiny_model):
    with torch.compiler.set_stance("force_eager"), pytest.raises(CompileError, match=r"torch\.compiler\.set_stance"):
        Session(copy.deepcopy(tiny_model("t5")), parse(COMPILED), BATCH, SRC_LEN, TARGET)


def test_a_step_before_prefill_is_refused(tiny_model):
    session = Session(two_layers(tiny_model), parse(COMPILED), BATCH, SRC_LEN, TARGET)
    with pytest.raises(StrategyError, match="step before prefill"):
        session.step(torch.zeros(BATCH, dtype=torch.int64))


@pytest.mark.parametrize("read", ["buffer", "bucket"])
def test_a_static_step_on_a_device_without_values_has_the_shapes_of_any(tiny_model, architecture, read):
    """What can be captured asks for no value: on ``meta`` there is none."""
    model = copy.deepcopy(tiny_model(architecture)).to("meta")
    session = Session(model, StaticKV(read=read), BATCH, SRC_LEN, TARGET)
    session.prefill(torch.zeros(BATCH, SRC_LEN, dtype=torch.int64, device="meta"))
    for _ in range(TARGET):
        found_BV = session.step(torch.zeros(BATCH, dtype=torch.int64, device="meta"))
        assert (found_BV.device.type, *found_BV.shape) == ("meta", BATCH, model.config.vocab_size)
