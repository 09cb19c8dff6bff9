"""Stores of a session: one for each decoder layer, from ``self_kv`` or ``open``, called in the order that is told."""

from dataclasses import dataclass

import pytest
import torch

from strategies import Session, StrategyError
from strategies.contiguous_kv import ContiguousKV, ContiguousStore


def noted(calls, layer, shape):
    """A growing store that notes what is asked of it: ``calls`` gets (name, layer)."""

    class Noted(ContiguousStore):
        pass

    def noting(name):
        def call(store, *arguments):
            calls.append((name, layer))
            return getattr(ContiguousStore, name)(store, *arguments)

        return call

    for name in ("reset", "key_position_M", "append", "nbytes"):
        setattr(Noted, name, noting(name))
    return Noted(shape)


def test_stores_are_called_in_the_documented_order(tiny_model):
    """Positions are asked of the first layer alone, before any layer appends (strategies/models/stores.py)."""
    calls, model = [], tiny_model("t5", decoder_layers=3)

    @dataclass(frozen=True)
    class Opened(ContiguousKV):
        def open(self, shape, layers):
            return [noted(calls, layer, shape) for layer in range(layers)]

    session = Session(model, Opened(), 1, 4, 2)
    session.prefill(torch.full((1, 4), 2))
    session.step(torch.zeros(1, dtype=torch.int64))
    assert session.nbytes.self_reserved
    every = range(3)
    assert calls == [
        *(("reset", layer) for layer in every),
        ("key_position_M", 0),
        *(("append", layer) for layer in every),
        *(("nbytes", layer) for layer in every),
    ]


@pytest.mark.parametrize("given", [0, 1, 3])
def test_stores_must_be_as_many_as_decoder_layers(tiny_model, given):
    @dataclass(frozen=True)
    class Few(ContiguousKV):
        label = "few"

        def open(self, shape, layers):
            return [self.self_kv(shape)] * given

    with pytest.raises(StrategyError) as caught:
        Session(tiny_model("t5"), Few(), 1, 4, 2)
    assert str(caught.value) == f"few: open gave {given} stores for 2 decoder layers; give one for each"
