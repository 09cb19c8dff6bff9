"""Strategies of a user that raise, or declare what cannot be: each is a row of its own, and the others go on."""

import dataclasses
import math
import re
from dataclasses import dataclass

import pytest

from strategies import StrategyError, select
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from suites.machine.signals import handled
from suites.settings.overrides import compose_jobs, read_overrides
from suites.store.cell_folder import read_cells
from suites.store.files import write_json

from .one_cell import CELL, measure


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
        path = re.search(r"; traceback in (cells/.+/traceback-[\w.-]{1,100}\.txt)$", result.reason).group(1)
        assert "in call" in (tmp_path / path).read_text(), place
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


def test_an_interrupt_that_nobody_asked_for_is_the_row_of_its_strategy_where_signals_are_handled(tmp_path):
    with handled():
        results = measure([*select("core"), misbehaving("append", KeyboardInterrupt(), "mine")], tmp_path)
    assert {results[s.label].status for s in select("core")} == {"ok"}
    assert results["mine"].status == "failed"
    assert results["mine"].reason.startswith("KeyboardInterrupt; traceback in ")


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
