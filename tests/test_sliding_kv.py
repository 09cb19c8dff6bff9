"""A window of K/V with attention sinks: which keys are attended, at which positions, and from where on it shows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strategies import Session, Strategy, StrategyError, parse
from strategies.contiguous_kv import ContiguousStore
from strategies.models.kernels import compiling
from strategies.models.stores import KVShape
from strategies.sliding_kv import Ring

BATCH, SRC_LEN, TARGET = 2, 5, 13
NEAR = {"rtol": 1e-5, "atol": 1e-5}
SIZES = [(1, 0), (4, 0), (1, 3), (5, 2), (4, 4)]
"""Window and sinks, which together are fewer than the target, and of no one remainder of it."""


class AllKept(ContiguousStore):
    """Every row is kept, and those that a window with sinks attends are picked at each step."""

    def __init__(self, shape: KVShape, window: int, sinks: int) -> None:
        super().__init__(shape)
        self._sizes = window, sinks

    def _picked(self, step) -> list[int]:
        window, sinks = self._sizes
        return [at for at in range(step.length) if at < sinks or at >= step.length - window]

    def append(self, k_BGTK, v_BGTK, step):
        k_BGNK, v_BGNK = super().append(k_BGTK, v_BGTK, step)
        return k_BGNK[:, :, self._picked(step)], v_BGNK[:, :, self._picked(step)]

    def key_position_M(self, step):
        return torch.tensor(self._picked(step))


@dataclass(frozen=True)
class Reference(Strategy):
    window: int = 1
    sinks: int = 0

    label = "reference"

    def self_kv(self, shape):
        return AllKept(shape, self.window, self.sinks)

    def keys_read(self, k):
        return min(k, self.window + self.sinks)


def decoded(model, strategy: Strategy, beams: int = 1, target: int = TARGET) -> Tensor:
    """Logits [N, X, V] of tokens and parents drawn at random, in the second batch of a session."""
    draw = torch.Generator().manual_seed(7)
    first_BS = torch.randint(2, 29, (BATCH, SRC_LEN), generator=draw)
    session = Session(model, strategy, BATCH, SRC_LEN, target, beams=beams)
    fed_NX = torch.randint(2, 29, (TARGET, BATCH * beams), generator=draw)
    parent_NBW = torch.randint(0, beams, (TARGET, BATCH, beams), generator=draw)
    found: list[Tensor] = []
    with torch.compiler.set_stance("fail_on_recompile"):
        for src_BS in (first_BS, first_BS.flip(1)):
            session.prefill(src_BS)
            found.clear()
            for n in range(target):
                if n and beams > 1:
                    session.select(parent_NBW[n])
                found.append(session.step(fed_NX[n]).clone())
    return torch.stack(found)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(("window", "sinks"), SIZES)
def test_each_step_attends_the_first_keys_and_the_last_at_their_own_positions(
    tiny_model, architecture, window, sinks, beams
):
    model = tiny_model(architecture)
    expected_NXV = decoded(model, Reference(window=window, sinks=sinks), beams)
    found_NXV = decoded(model, parse(f"sliding_kv(window={window},sinks={sinks})"), beams)
    torch.testing.assert_close(found_NXV, expected_NXV, **NEAR)


@pytest.mark.parametrize(("window", "sinks"), SIZES)
def test_it_equals_full_recompute_up_to_sinks_and_window_and_differs_one_token_later(
    tiny_model, architecture, window, sinks
):
    model, label = tiny_model(architecture), f"sliding_kv(window={window},sinks={sinks})"
    whole = window + sinks
    for target in (whole, whole + 1):
        found_NBV = decoded(model, parse(label), target=target)
        expected_NBV = decoded(model, parse("full_recompute"), target=target)
        torch.testing.assert_close(found_NBV[:whole], expected_NBV[:whole], **NEAR)
    assert not torch.isclose(found_NBV[whole], expected_NBV[whole], **NEAR).any(-1).all()


@pytest.mark.parametrize("architecture", ["t5", "transformer2017"])
def test_a_compiled_step_has_the_logits_of_an_eager_one(tiny_model, architecture, monkeypatch):
    """One step serves every position: before the ring is full, and in its third lap. All guards are checked."""
    monkeypatch.setattr(compiling, "few_guards", lambda guards: [True] * len(guards))
    eager, compiled = "sliding_kv(window=4,sinks=2)", "sliding_kv(window=4,sinks=2,execution=compiled)"
    expected_NBV, found_NBV = (decoded(tiny_model(architecture), parse(label)) for label in (eager, compiled))
    torch.testing.assert_close(found_NBV, expected_NBV, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 6), st.integers(1, 9), st.integers(1, 40))
def test_the_ring_holds_the_first_positions_and_the_last_at_every_step(sinks, window, target):
    bound = parse(f"sliding_kv(window={window},sinks={sinks})").bind(target)
    rows = bound.rows_reserved(1)
    assert rows == min(target, sinks + window)
    shape = KVShape(1, 1, 1, target, torch.float32, torch.device("cpu"))
    ring, held = Ring(shape, rows, bound.sinks, bound.window), {}
    for position in range(target):
        position_1 = torch.tensor([position])
        ring.move_to(position_1)
        held[int(ring.row_1)] = position
        k = position + 1
        assert set(held.values()) == {at for at in range(k) if at < sinks or at >= k - window}
        position_R = ring.position_R(position_1).tolist()
        assert {row: position_R[row] for row in held} == held
        assert all(at > position for row, at in enumerate(position_R) if row not in held)
        assert sorted(held) == list(range(bound.keys_read(k)))
        assert bound.rows_used(k) == bound.rows_reordered(k) == len(held)


def test_the_memory_is_that_of_sinks_and_window_whatever_the_target(tiny_model):
    row_bytes = 2 * 2 * BATCH * 3 * 5 * 4  # layers, K and V, batch, heads, head size, bytes
    for target, rows in ((3, 3), (6, 6), (13, 6)):
        session = Session(tiny_model("t5"), parse("sliding_kv(window=4,sinks=2)"), BATCH, SRC_LEN, target)
        session.prefill(torch.full((BATCH, SRC_LEN), 2))
        for k in range(1, target + 1):
            session.step(torch.full((BATCH,), 3))
            assert session.nbytes.self_reserved == rows * row_bytes
            assert session.nbytes.self_used == min(k, rows) * row_bytes


def test_a_compiled_step_reads_the_whole_ring_and_an_eager_one_what_is_filled():
    eager, compiled = (parse(f"sliding_kv(execution={execution})").bind(100) for execution in ("eager", "compiled"))
    assert [eager.keys_read(k) for k in (1, 68, 69, 100)] == [1, 68, 68, 68]
    assert {compiled.keys_read(k) for k in range(1, 101)} == {compiled.variant(1)} == {68}
    assert not eager.exact


@pytest.mark.parametrize(("option", "least"), [("window=0", 1), ("sinks=-1", 0)])
def test_sizes_that_are_too_small_are_refused_in_one_line(option, least):
    with pytest.raises(StrategyError, match=f"sliding_kv: {option} is not allowed; give at least {least}"):
        parse(f"sliding_kv({option})")
