"""One cell: what happens to the others when a strategy fails or disagrees, the oracle among them."""

import dataclasses
import math
import re
from dataclasses import dataclass

import pytest
import torch

from strategies import ModelSpec, Session, StrategyError, select
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.full_recompute import FullRecompute
from suites.contenders.running.lineup import Contenders
from suites.measuring import arms, runner
from suites.measuring.runner import run_cell
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.settings.overrides import compose_jobs, read_overrides
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.telling.summary import equality_told
from suites.words.progress import Progress

SHAPE = {
    "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 1, "decoder_layers": 1
}  # fmt: skip
CELL = Cell(ModelSpec("sliver", "random", shape=tuple(sorted(SHAPE.items()))), 5, 6, 2, "cpu", "fp32", 1, 0, "fixed")


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


def measure(strategies, folder, cell=CELL):
    with Progress(1, 1) as progress:
        results = run_cell(cell, strategies, MeasureConfig(rounds=2, warmup=0), folder, progress, Contenders())
    return {result.strategy: result for result in results}


def test_a_strategy_that_disagrees_is_not_timed_and_named_with_its_step(tmp_path):
    results = measure([*select("core"), Forgetful()], tmp_path)
    assert results["forgetful"].status == "invalid"
    assert results["forgetful"].reason.startswith("step 4: logits of row")
    assert {results[s.label].status for s in select("core")} == {"ok"}
    write_json(tmp_path / "run.json", {"schema": 1, "plan": [{"id": CELL.id}]})
    (result,) = read_cells(tmp_path)
    assert {r.strategy for r in result.rounds} == {s.label for s in select("core")}


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


class HostileError(Exception):
    """Cannot even be printed."""

    def __str__(self):
        raise RuntimeError("no text either")


def raising(error):
    def call(*arguments):
        raise error

    return call


PLACES = ["bind", "self_kv", "rows_fed", "keys_read", "rows_copied", "rows_reserved", "rows_used", "append", "nbytes"]
ERRORS = {
    "ValueError: bad?news": ValueError("bad\tnews\nand more"),
    "SystemExit: 0": SystemExit(0),
    "GeneratorExit": GeneratorExit(),
    "StopIteration": StopIteration(),
    "HostileError: its message cannot be read": HostileError(),
}
EVERY_FAULT = [
    *((place, *next(iter(ERRORS.items()))) for place in PLACES),
    *zip(("bind", "append", "reset", "append"), *zip(*list(ERRORS.items())[1:], strict=True), strict=True),
]
LONG = "x/../y" * 40


def misbehaving(place, error, label):
    """A growing cache that raises at one place of its strategy or store."""

    def self_kv(self, shape):
        store = ContiguousStore(shape)
        if hasattr(store, place):
            setattr(store, place, raising(error))
        return store

    methods = {"label": label, "self_kv": self_kv}
    if hasattr(ContiguousKV, place):
        methods[place] = raising(error)
    return dataclass(frozen=True)(type("Misbehaving", (ContiguousKV,), methods))()


def test_whatever_a_strategy_raises_and_wherever_is_its_own_row_with_the_traceback_beside_it(tmp_path):
    """All of them in one cell, so that each is also one of the others that go on."""
    bad = [misbehaving(place, error, f"{n} {LONG}") for n, (place, _, error) in enumerate(EVERY_FAULT)]
    results = measure([*select("core"), *bad], tmp_path)
    assert {results[s.label].status for s in select("core")} == {"ok"}
    folder = tmp_path / "cells" / CELL.id
    assert len(list(folder.glob("traceback-*.txt"))) == len(bad)
    for strategy, (place, reason, _) in zip(bad, EVERY_FAULT, strict=True):
        result = results[strategy.label]
        assert result.status == "failed", (place, result)
        assert result.reason.startswith(reason), (place, result)
        name = re.search(r"; traceback in (traceback-[\w.-]{1,100}\.txt) beside cell.json$", result.reason).group(1)
        assert "in call" in (folder / name).read_text(), place
    write_json(tmp_path / "run.json", {"schema": 1, "plan": [{"id": CELL.id}]})
    (result,) = read_cells(tmp_path)
    assert len(result.arms) == len(results)


@pytest.mark.parametrize("value", [math.nan, 1.5, -5, 10**400, None])
def test_a_fact_that_is_no_number_of_rows_is_the_row_of_its_strategy(tmp_path, value):
    """NaN is larger than no memory, and a sum of 10**400 is no float."""
    kind = type("Odd", (ContiguousKV,), {"label": "odd", "rows_reserved": lambda self, k: value})
    results = measure([*select("core"), dataclass(frozen=True)(kind)()], tmp_path)
    assert {results[s.label].status for s in select("core")} == {"ok"}
    assert results["odd"].status == "failed"
    assert re.match(r"odd: rows_reserved\(1\) = .{1,20} is no number of rows; return a whole", results["odd"].reason)


def test_a_strategy_that_raises_where_its_execution_is_asked_ends_in_one_line(monkeypatch):
    def executed(self, execution):
        raise KeyError("mine")

    monkeypatch.setattr(ContiguousKV, "executed", executed)
    overrides = read_overrides(["strategies=[contiguous_kv]", "execution=compiled", "model=tiny"])
    with pytest.raises(StrategyError, match=r"contiguous_kv: executed\('compiled'\): KeyError: 'mine'"):
        compose_jobs(overrides)


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


def test_an_interrupt_inside_a_strategy_ends_the_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        measure([*select("core"), misbehaving("append", KeyboardInterrupt(), "stopped")], tmp_path)


def test_a_strategy_is_asked_of_no_step_but_those_that_are_there(tmp_path):
    asked = set()

    def noted(name):
        def fact(self, k):
            asked.add((name, k))
            return getattr(ContiguousKV, name)(self, k)

        return fact

    names = ["rows_fed", "keys_read", "variant", "rows_copied", "rows_reserved", "rows_used"]
    kind = type("Asked", (ContiguousKV,), {"label": "asked", **{name: noted(name) for name in names}})
    cell = dataclasses.replace(CELL, src_len=4, tgt_len=4)
    results = measure([dataclass(frozen=True)(kind)()], tmp_path, cell)
    assert results["asked"].status == "ok"
    assert min(k for _, k in asked) == 1
