"""Which strategies can be executed how: what is refused, what is tried beside the eager steps, and the buckets."""

import dataclasses

import pytest

from strategies import Session, StrategyError, parse, select, static_kv, with_execution
from strategies.static_kv import StaticKV

COMPILED = "static_kv(execution=compiled,read=bucket)"


def test_a_captured_step_needs_cuda(tiny_model):
    with pytest.raises(StrategyError, match="execution=graph needs a CUDA device; give eager or compiled"):
        Session(tiny_model("t5"), parse("static_kv(execution=graph,read=bucket)"), 2, 5, 11)


@pytest.mark.parametrize("text", ["static_kv(execution=compiled)", "contiguous_kv(execution=graph)"])
def test_what_does_not_support_it_is_refused_by_name(text):
    with pytest.raises(StrategyError, match=r"is not supported with these options; give (compiled or )?eager"):
        parse(text)


def test_those_that_support_it_are_tried_behind_the_others():
    labels = [strategy.label for strategy in with_execution(select("core"), "graph")]
    assert labels == [*(s.label for s in select("core")), "static_kv(execution=graph,read=bucket)"]
    added = {s.label for s in with_execution(select("core"), "compiled")} - {s.label for s in select("core")}
    assert added == {COMPILED, "contiguous_kv(execution=compiled)"}
    assert with_execution(select("core"), "eager") == select("core")
    alone = [parse(COMPILED)]
    assert with_execution(alone, "eager") == with_execution(alone, "compiled") == alone
    buffer = parse("static_kv(capacity=90,read=buffer)")
    assert buffer.executed("compiled") == dataclasses.replace(buffer, execution="compiled")


def test_buckets_double_up_to_the_capacity(monkeypatch):
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", 64)
    bound = StaticKV(read="bucket").bind(300)
    assert [bound.keys_read(k) for k in (1, 64, 65, 128, 129, 256, 257, 300)] == [64, 64, 128, 128, 256, 256, 300, 300]
