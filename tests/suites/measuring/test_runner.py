"""One cell: what happens to the others when a strategy fails or disagrees, the oracle among them."""

import dataclasses
import math
from dataclasses import dataclass

import pytest
import torch

from strategies import ModelSpec, Session, select
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.full_recompute import FullRecompute
from strategies.models import torch_settings
from suites.machine.environment import cpu_name
from suites.measuring import arms, runner
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA, read_environment
from suites.tables.case_table import case_table
from suites.telling.summary import equality_told

from .one_cell import CELL, SHAPE, measure

NO_CUDA = pytest.mark.skipif(
    torch.cuda.is_available(), reason="is about a machine without a CUDA device; this one has one"
)


class ForgetfulStore(ContiguousStore):
    def append(self, k_BHTK, v_BHTK, step):
        k_BHMK, v_BHMK = super().append(k_BHTK, v_BHTK, step)
        return k_BHMK, v_BHMK.clone().mul_(step.length < 4)


@dataclass(frozen=True)
class Forgetful(ContiguousKV):
    label = "forgetful"

    def self_kv(self, shape):
        return ForgetfulStore(shape)


@dataclass(frozen=True)
class Greedy(ContiguousKV):
    """Asks for more memory than there is, at the third step."""

    label = "greedy"

    def self_kv(self, shape):
        class Store(ContiguousStore):
            def append(self, k_BHTK, v_BHTK, step):
                if step.length == 3:
                    torch.empty(1 << 60)
                return super().append(k_BHTK, v_BHTK, step)

        return Store(shape)


def test_a_strategy_that_disagrees_is_not_timed_and_named_with_its_step(tmp_path):
    results = measure([*select("core"), Forgetful()], tmp_path)
    assert results["forgetful"].status == "invalid"
    assert results["forgetful"].reason.startswith("step 4: logits of row")
    assert {results[s.label].status for s in select("core")} == {"ok"}
    write_json(tmp_path / "run.json", {"schema": 1, "plan": [{"id": CELL.id}]})
    (result,) = read_cells(tmp_path)
    assert {r.strategy for r in result.rounds} == {s.label for s in select("core")}


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_CUDA)])
def test_each_cell_says_where_it_was_measured_even_one_that_cannot_run(tmp_path, device, monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "node7")
    measure(select("full_recompute"), tmp_path, dataclasses.replace(CELL, device=device))
    (found,) = (tmp_path / "cells").iterdir()
    kept = read_environment(found)
    assert (kept["node"], kept["cpu"], kept["gpu"]) == ("node7", cpu_name(), None)
    assert kept["versions"]["torch"] == str(torch.__version__)


def test_where_cuda_does_not_start_every_row_has_the_reason(tmp_path, monkeypatch):
    def busy(*, with_gpu):
        assert not with_gpu
        raise RuntimeError("CUDA-capable device(s) is/are busy")

    monkeypatch.setattr(runner, "environment", busy)
    (result,) = measure(select("full_recompute"), tmp_path).values()
    assert (result.status, result.reason.partition(";")[0]) == (
        "failed",
        "RuntimeError: CUDA-capable device(s) is/are busy",
    )


def test_one_that_runs_out_of_memory_is_a_row_that_says_so(tmp_path):
    results = measure([*select("core"), Greedy()], tmp_path)
    assert results["greedy"].status == "failed"
    assert results["greedy"].reason.startswith("out of memory")
    assert {results[s.label].status for s in select("core")} == {"ok"}


@pytest.mark.parametrize("step", [1, 4])
def test_an_oracle_that_fails_leaves_the_others_measured_against_the_next(tmp_path, monkeypatch, step):
    usual = Session.step

    def fails(session, token_B):
        if isinstance(session.strategy, FullRecompute) and session.strategy.cross == "recompute":
            if session._step.length == step:
                raise torch.OutOfMemoryError("no room")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", fails)
    results = measure([*select("core"), Forgetful()], tmp_path)
    assert results["full_recompute"].status == "failed"
    assert results["full_recompute"].reason == "out of memory: no room"
    assert {results[name].status for name in ("cross_kv", "contiguous_kv", "static_kv")} == {"ok"}
    assert results["forgetful"].status == "invalid"


def test_an_oracle_that_was_not_asked_for_and_fails_is_told_of_every_case(tmp_path, monkeypatch):
    usual = Session.step

    def fails(session, token_B):
        if isinstance(session.strategy, FullRecompute):
            raise RuntimeError("a fault of ours")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", fails)
    results = measure(select(["static_kv", "contiguous_kv"]), tmp_path)
    assert {result.status for result in results.values()} == {"ok"}
    why = "as full_recompute failed: RuntimeError: a fault of ours (test_runner.py, line "
    assert results["static_kv"].reason.startswith(f"compared with nothing, {why}")
    assert results["contiguous_kv"].reason.startswith(f"compared with the logits of static_kv, {why}")
    assert results["static_kv"].max_logit_error is None
    assert results["contiguous_kv"].max_logit_error < 1e-4
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": CELL.id}]})
    table = case_table(read_cells(tmp_path))
    assert equality_told(table) == ""
    assert equality_told(table[table["strategy"] == "contiguous_kv"]) == ""  # where the judge failed later on


def test_a_store_that_keeps_rows_of_the_batch_before_is_invalid(tmp_path):
    """In its first decode it is right, and without a mask nothing but the logits can tell."""

    class Kept(ContiguousStore):
        def reset(self):
            pass

    @dataclass(frozen=True)
    class Keeping(ContiguousKV):
        label = "keeping"

        def self_kv(self, shape):
            return Kept(shape)

    shape = tuple(sorted((SHAPE | {"architecture": "transformer2017"}).items()))
    cell = dataclasses.replace(CELL, model=ModelSpec("paper", "random", shape=shape))
    result = measure([Keeping()], tmp_path, cell)["keeping"]
    assert (result.status, result.reason[:14]) == ("invalid", "step 2: logits")


def test_without_full_recompute_among_them_it_still_judges(tmp_path):
    results = measure([*select("static_kv"), Forgetful()], tmp_path)
    assert set(results) == {"static_kv", "forgetful"}
    assert results["static_kv"].status == "ok"
    assert results["forgetful"].status == "invalid"


def test_a_model_that_cannot_be_loaded_is_the_reason_of_every_row(tmp_path):
    lost = dataclasses.replace(CELL, model=ModelSpec("lost", "checkpoint", "/nowhere"))
    results = measure(select("core"), tmp_path, lost)
    assert {result.status for result in results.values()} == {"failed"}
    assert all("/nowhere is not a folder" in result.reason for result in results.values())


def test_token_ids_of_a_file_are_what_is_decoded(tmp_path):
    cell = dataclasses.replace(CELL, src_ids=((3, 4, 5, 6, 7), (8, 9)))
    results = measure(select("core"), tmp_path, cell)
    assert {result.status for result in results.values()} == {"ok"}
    write_json(tmp_path / "run.json", {"schema": 1, "plan": [{"id": cell.id}]})
    (result,) = read_cells(tmp_path)
    assert result.cell["src_lens"] == [5, 2]
    assert result.cell["real_fraction"] == pytest.approx(0.7)


def test_logits_of_another_judge_that_are_not_finite_are_its_own(tmp_path, monkeypatch):
    """Where full recompute has no room, the next that works judges, and speaks for itself alone."""
    monkeypatch.setattr(runner, "why_too_large", lambda *given: "has no room")

    def step(self, token_B):
        logits_BV = Session.step(self, token_B)
        return logits_BV * math.nan if self.strategy.label == "odd" else logits_BV

    kind = dataclass(frozen=True)(type("Odd", (ContiguousKV,), {"label": "odd"}))()
    monkeypatch.setattr(arms, "Session", type("Spoiled", (Session,), {"step": step}))
    results = measure([kind, *select(["static_kv", "contiguous_kv"])], tmp_path)
    assert (results["odd"].status, results["static_kv"].status) == ("invalid", "ok")


@NO_CUDA
def test_a_cell_that_cannot_run_here_leaves_the_settings_of_torch_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "set_defaults", torch_settings.set_defaults.__wrapped__)
    with torch_settings.kept():
        torch_settings.allow_attention("auto", "cpu")
        results = measure(select("core"), tmp_path, dataclasses.replace(CELL, device="cuda"))
        assert {found.status for found in results.values()} == {"skipped"}
        assert "cudnn" in torch_settings.enabled_attention()
