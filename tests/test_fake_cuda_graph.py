"""Captured steps without a device: what they read from fixed addresses gives the logits of full recompute."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from strategies import Session, StrategyError, parse, static_kv
from strategies.models.kernels.execution import Captured
from strategies.search.begin import begin
from strategies.search.loop import decode
from strategies.search.options import Beam
from tests.fake_cuda import fake_cuda
from tests.fake_cuda_graph import FakeGraph, captured_on_the_cpu

BATCH, BEAMS, SOURCE, STEPS, BUCKET = 2, 3, 5, 7, 2
NEAR = {"rtol": 1e-5, "atol": 1e-5}
# The label -> graphs of a session with beams: of each of three variants, buckets of 2, 4 and 7 rows, or of the buffer.
GRAPHS = {
    "static_kv(execution=graph,read=bucket)": 6,
    "static_kv(cross=recompute,execution=graph,read=bucket)": 6,
    "static_kv(execution=graph,read=buffer)": 2,
    "static_kv(capacity=9,execution=graph,read=buffer)": 2,
    "static_kv(cross_beams=expanded_once,execution=graph,read=bucket)": 6,
    "static_kv(execution=graph,read=bucket,reorder=table)": 3,
    "static_kv(cross_beams=expanded_once,execution=graph,read=buffer,reorder=table)": 1,
}


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", BUCKET)
    with captured_on_the_cpu():
        yield


def graphs(session: Session) -> dict[tuple[int, int], FakeGraph]:
    """Variant and side -> the graph."""
    assert isinstance(session._forward, Captured)
    return {key: graph for key, (graph, _) in session._forward._graphs.items()}


def decoded(model, label: str, beams: int, batches: int = 2) -> tuple[Session, torch.Tensor]:
    """A session that has decoded batches, the first without padding, and the logits of all steps."""
    session = Session(model, parse(label), BATCH, SOURCE, STEPS, beams=beams)
    draw, found = torch.Generator().manual_seed(4), []
    for batch in range(batches):
        src_BS = torch.randint(2, 29, (BATCH, SOURCE), generator=draw)
        mask_BS = torch.arange(SOURCE) < torch.tensor([[SOURCE], [SOURCE - 2]])
        session.prefill(src_BS, mask_BS if batch else None)
        for k in range(STEPS):
            found.append(session.step(torch.randint(2, 29, (BATCH * beams,), generator=draw)).clone())
            if k + 1 < STEPS:
                session.select(torch.randint(0, beams, (BATCH, beams), generator=draw))
    return session, torch.stack(found)


@pytest.mark.parametrize("beams", [1, BEAMS])
@pytest.mark.parametrize("label", GRAPHS)
def test_captured_steps_give_the_oracles_logits_across_buckets_and_batches(tiny_model, architecture, label, beams):
    model = tiny_model(architecture)
    _, expected_NXV = decoded(model, "full_recompute", beams)
    session, found_NXV = decoded(model, label, beams)
    torch.testing.assert_close(found_NXV, expected_NXV, **NEAR)
    assert sum(graph.replays for graph in graphs(session).values()) >= 2 * STEPS


@pytest.mark.parametrize("label", GRAPHS)
def test_a_step_is_captured_at_set_up_for_each_side_and_never_later(tiny_model, label):
    session = Session(tiny_model("t5"), parse(label), BATCH, SOURCE, STEPS, beams=BEAMS)
    before = graphs(session)
    assert len(before) == GRAPHS[label]
    two_sided = "table" not in label
    assert {side for _, side in before} == ({0, 1} if two_sided else {0})
    after = graphs(decoded(tiny_model("t5"), label, BEAMS)[0])
    assert set(after) == set(before)
    assert all(graph.replays > 1 for graph in after.values()), "each of them served a step besides its capture"


@pytest.mark.parametrize("stop", ["fixed", "eos"])
@pytest.mark.parametrize("label", GRAPHS)
def test_beam_search_over_captured_steps_finds_the_oracles_sequences(tiny_model, label, stop):
    model, found = tiny_model("t5", seed=2), {}
    for each in ("full_recompute", label):
        session = Session(model, parse(each), BATCH, SOURCE, STEPS, beams=BEAMS)
        searching = begin(Beam(BEAMS, num_return=2), model.config, BATCH, STEPS, stop, torch.device("cpu"))
        session.prefill(torch.arange(2, 2 + BATCH * SOURCE).view(BATCH, SOURCE))
        list(decode(session, searching, stop))
        found[each] = searching.sequences()
    assert searching.moved_share() > 0.2
    assert torch.equal(found[label].token_RN, found["full_recompute"].token_RN)
    torch.testing.assert_close(found[label].score_R, found["full_recompute"].score_R, **NEAR)


def test_one_beam_is_captured_once(tiny_model):
    session = Session(tiny_model("t5"), parse("static_kv(execution=graph,read=bucket)"), BATCH, SOURCE, STEPS)
    assert sorted(graphs(session)) == [(2, 0), (4, 0), (7, 0)]


def test_a_step_that_replays_the_other_side_is_found(tiny_model, monkeypatch):
    """So that the test above could fail: the addresses matter."""
    label = "static_kv(execution=graph,read=buffer)"
    _, expected_NXV = decoded(tiny_model("t5"), "full_recompute", BEAMS)
    replay = Captured.__call__

    def of_one_side(self, model, token_BT, step, attended):
        return replay(self, model, token_BT, dataclasses.replace(step, side=0), attended)

    monkeypatch.setattr(Captured, "__call__", of_one_side)
    _, found_NXV = decoded(tiny_model("t5"), label, BEAMS)
    assert not torch.allclose(found_NXV, expected_NXV, **NEAR)


def test_a_table_that_moves_when_it_is_reordered_is_found(tiny_model, monkeypatch):
    """A right order at another address: eager steps follow it, and captured ones do not."""

    def select(self, parent_B, held):
        self.row_BC = torch.cat((self.row_BC[:, :held].index_select(0, parent_B), self.row_BC[:, held:]), 1)

    monkeypatch.setattr(static_kv.BeamTable, "select", select)
    _, expected_NXV = decoded(tiny_model("t5"), "full_recompute", BEAMS)
    for label, is_right in (
        ("static_kv(reorder=table)", True),
        ("static_kv(execution=graph,read=bucket,reorder=table)", False),
    ):
        _, found_NXV = decoded(tiny_model("t5"), label, BEAMS)
        assert torch.allclose(found_NXV, expected_NXV, **NEAR) == is_right


def test_a_step_that_depends_on_the_hosts_length_is_found(tiny_model, monkeypatch):
    def append(self, k_BGTK, v_BGTK, step):
        at = step.length - 1
        self._k_BGCK[:, :, at : at + 1], self._v_BGCK[:, :, at : at + 1] = k_BGTK, v_BGTK
        return self._k_BGCK, self._v_BGCK

    monkeypatch.setattr(static_kv.StaticStore, "append", append)
    _, expected_NXV = decoded(tiny_model("t5"), "full_recompute", 1)
    _, found_NXV = decoded(tiny_model("t5"), "static_kv(execution=graph,read=buffer)", 1)
    assert not torch.allclose(found_NXV, expected_NXV, **NEAR)


def test_a_step_that_waits_for_the_device_cannot_be_captured(tiny_model, monkeypatch):
    append = static_kv.StaticStore.append

    def asking(self, k_BGTK, v_BGTK, step):
        assert int(step.position_1) >= 0
        return append(self, k_BGTK, v_BGTK, step)

    monkeypatch.setattr(static_kv.StaticStore, "append", asking)
    with pytest.raises(RuntimeError, match="waits for the device"):
        decoded(tiny_model("t5"), "static_kv(execution=graph,read=buffer)", 1)


def test_sources_that_are_reordered_with_the_beams_cannot_be_captured(tiny_model):
    label = "static_kv(cross_beams=expanded,execution=graph,read=bucket)"
    with (
        fake_cuda(tiny_model("t5")) as model,
        pytest.raises(StrategyError, match=r"cross_beams=expanded moves K/V; give shared or expanded_once$"),
    ):
        Session(model, parse(label), BATCH, SOURCE, STEPS, beams=BEAMS)
