"""Compiled and captured steps: the answers of the oracle at each step, in one graph that serves every position."""

import dataclasses

import pytest
import torch

from strategies import Session, StrategyError, parse, select, static_kv, with_execution
from strategies.models.execution import compiled
from strategies.static_kv import StaticKV

BATCH, SRC_LEN, TARGET = 2, 5, 11
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CUDA = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
EXECUTIONS = ["compiled", pytest.param("graph", marks=CUDA)]
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own, in its compiler
NEAR = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True)
def _small_buckets(monkeypatch):
    """4, 8 and the capacity, so that a short target has three."""
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", 4)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled():
    yield
    torch.compiler.reset()


def model_of(tiny_model, architecture):
    return tiny_model(architecture).to(DEVICE)


def sources(padded):
    draw = torch.Generator().manual_seed(1)
    src_BS = torch.randint(2, 29, (BATCH, SRC_LEN), generator=draw).to(DEVICE)
    mask_BS = torch.arange(SRC_LEN) < torch.tensor([SRC_LEN, 2])[:, None]
    return (src_BS, mask_BS.to(DEVICE)) if padded else (src_BS, None)


def logits(session, given):
    session.prefill(*given)
    tokens = [torch.full((BATCH,), 3 + k, device=DEVICE) for k in range(TARGET)]
    return [session.step(token_B).clone() for token_B in tokens]


def agrees_with_the_oracle(model, strategy):
    """At each step, for sources with padding and without, and no position compiles anew."""
    oracle = Session(model, parse("full_recompute"), BATCH, SRC_LEN, TARGET)
    session = Session(model, strategy, BATCH, SRC_LEN, TARGET)
    with torch.compiler.set_stance("fail_on_recompile"):
        for padded in (False, True):
            for expected, found in zip(*(logits(s, sources(padded)) for s in (oracle, session)), strict=True):
                torch.testing.assert_close(found, expected, **NEAR)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_every_step_by_buckets_has_the_oracles_logits(tiny_model, architecture, execution):
    agrees_with_the_oracle(model_of(tiny_model, architecture), StaticKV(read="bucket", execution=execution))


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_every_step_by_the_whole_buffer_has_the_oracles_logits(tiny_model, execution):
    agrees_with_the_oracle(model_of(tiny_model, "t5"), StaticKV(read="buffer", execution=execution))


def test_a_second_session_of_the_same_shape_compiles_nothing(tiny_model):
    model = tiny_model("t5")
    strategy = parse("static_kv(execution=compiled,read=bucket)")
    Session(model, strategy, BATCH, SRC_LEN, TARGET)
    with torch.compiler.set_stance("fail_on_recompile"):
        logits(Session(model, strategy, BATCH, SRC_LEN, TARGET), sources(False))


def test_cases_have_functions_of_their_own(tiny_model):
    model = tiny_model("t5")
    assert compiled(model, "a") is compiled(model, "a")
    assert compiled(model, "a") is not compiled(model, "b")


def test_a_step_before_prefill_is_refused(tiny_model):
    session = Session(tiny_model("t5"), parse("static_kv(execution=compiled,read=bucket)"), BATCH, SRC_LEN, TARGET)
    with pytest.raises(StrategyError, match="step before prefill"):
        session.step(torch.zeros(BATCH, dtype=torch.int64))


def test_a_captured_step_needs_cuda(tiny_model):
    with pytest.raises(StrategyError, match="execution=graph needs a CUDA device; give eager or compiled"):
        Session(tiny_model("t5"), parse("static_kv(execution=graph,read=bucket)"), BATCH, SRC_LEN, TARGET)


@pytest.mark.parametrize("text", ["static_kv(execution=compiled)", "contiguous_kv(execution=graph)"])
def test_what_does_not_support_it_is_refused_by_name(text):
    with pytest.raises(StrategyError, match="is not supported with these options; give eager"):
        parse(text)


def test_those_that_support_it_are_tried_behind_the_others():
    labels = [strategy.label for strategy in with_execution(select("core"), "graph")]
    assert labels == [*(s.label for s in select("core")), "static_kv(execution=graph,read=bucket)"]
    assert with_execution(select("core"), "eager") == select("core")
    buffer = parse("static_kv(capacity=90,read=buffer)")
    assert buffer.executed("compiled") == dataclasses.replace(buffer, execution="compiled")


def test_buckets_double_up_to_the_capacity(monkeypatch):
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", 64)
    bound = StaticKV(read="bucket").bind(300)
    assert [bound.keys_read(k) for k in (1, 64, 65, 128, 129, 256, 257, 300)] == [64, 64, 128, 128, 256, 256, 300, 300]
