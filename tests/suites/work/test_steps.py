"""Sums over steps in closed form: equal to adding step by step, and as quick for any length."""

from dataclasses import dataclass, replace

import pytest

from strategies import DTYPES, ModelConfig, ModelSpec, Strategy
from strategies.models import costs, traffic
from suites.settings.cells import Cell
from suites.work import steps
from suites.work.formulas import formulas, role_sums, totals
from suites.work.row_bytes import row_bytes
from suites.work.steps import FEW_ASKED, LEAF, Sums, estimated_sum, facts_at, sum_over_steps

from ...conftest import ARCHITECTURES, LARGE, SHAPE, every_strategy

SOURCE = 7
CELL = Cell(ModelSpec("m", "random"), SOURCE, LARGE - 3, 3, "cpu", "fp16", 1, 0, "fixed")


@dataclass(frozen=True)
class Blocks(Strategy):
    """Reads whole blocks of 16 keys, and moves all rows whenever one is full: a fact that is no line anywhere."""

    def keys_read(self, k):
        return -(-k // 16) * 16

    def rows_copied(self, k):
        return k if k % 16 == 0 else 0


@dataclass(frozen=True)
class Window(Strategy):
    """Feeds some rows again, and reads the last 700 keys at most."""

    def rows_fed(self, k):
        return min(k, 5)

    def keys_read(self, k):
        return min(k, 700)


@dataclass(frozen=True)
class Pruned(Strategy):
    """Feeds some rows again, observes the source in the first steps, and reads less of it from then on."""

    def rows_fed(self, k):
        return min(k, 5)

    def rows_expanded(self, k):
        return k

    def kv_row_bytes(self, shape):
        return 2 * shape.heads * (shape.head_size + shape.dtype.itemsize)

    def cross_keys_read(self, k, src_len):
        return src_len if k <= 20 else -(-src_len // 2)

    def cross_keys_observed(self, k, src_len):
        return src_len if k <= 20 else 0


def step_by_step(bound, last):
    return sum((Sums.of(facts_at(bound, k, SOURCE)) for k in range(1, last + 1)), Sums())


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("strategy", [*every_strategy(), Pruned()], ids=repr)
def test_each_step_and_the_sums_by_role_are_those_of_the_models_formulas(name, strategy):
    config, bound = ModelConfig(**{**SHAPE, **ARCHITECTURES[name]}), strategy.bind(CELL.tgt_len)
    recomputed = bound.cross == "recompute"
    found, by_role = formulas(config, CELL, strategy), role_sums(config, CELL, strategy, CELL.tgt_len)
    flops, moved = dict.fromkeys(by_role["decode_flops"], 0), dict.fromkeys(by_role["decode_bytes"], 0)
    for k in range(1, CELL.tgt_len + 1):
        facts = facts_at(bound, k, CELL.src_len)
        shape = costs.StepShape(CELL.batch_size, CELL.src_len, **facts._asdict(), cross_recomputed=recomputed)
        shape = replace(shape, row_bytes=row_bytes(config, bound, DTYPES["fp16"]))
        ran = costs.step(config, shape)
        element = traffic.ElementBytes(DTYPES["fp16"].itemsize, 4 if config.ffn_out_fp32 else None)
        parts = traffic.role_bytes(config, shape, element)
        whole = sum(parts.values(), traffic.StepBytes())
        lists = found.weight_bytes, found.self_kv_bytes, found.cross_kv_bytes, found.copy_bytes
        assert [part[k - 1] for part in lists] == [whole.weights, whole.self_kv, whole.cross_kv, whole.copies]
        assert found.step_flops[k - 1] == costs.flops(ran)
        for product in ran:
            flops[product.role] += product.flops
        for role, part in parts.items():
            moved[role] += part.total
    assert (by_role["decode_flops"], by_role["decode_bytes"]) == (flops, moved)
    whole = totals(config, CELL, strategy)
    assert whole.executed_flops == found.prefill_flops + sum(found.step_flops)
    assert whole.moved_bytes == sum(moved.values())


def test_a_long_sum_is_that_of_its_steps(strategy, monkeypatch):
    bound = replace(strategy, capacity=None) if hasattr(strategy, "capacity") else strategy
    bound = bound.bind(3001)
    monkeypatch.setattr(steps, "ONE_BY_ONE", 100)
    assert sum_over_steps(bound, 3001, SOURCE) == step_by_step(bound, 3001)


@pytest.mark.parametrize("bound", [Blocks(), Window(), Pruned()])
def test_facts_that_are_no_line_are_added_as_they_are(bound, monkeypatch):
    monkeypatch.setattr(steps, "ONE_BY_ONE", 100)
    assert sum_over_steps(bound, 5003, SOURCE) == step_by_step(bound, 5003)


@pytest.mark.parametrize("last", [10**6, 1 << 30])
def test_a_target_of_any_length_asks_for_few_steps(last, monkeypatch):
    asked = 0

    def count(bound, k, src_len, beams, first):
        nonlocal asked
        asked += 1
        return facts_at(bound, k, src_len, beams, first)

    monkeypatch.setattr(steps, "facts_at", count)
    monkeypatch.setattr(steps, "MOST_ASKED", 4096)
    found = sum_over_steps(Window(), last, SOURCE)
    assert (found.steps, found.rows_keys) == (last, 3500 * last - 1223270)
    assert (found.rows, found.keys) == (5 * last - 10, 700 * last - 244650)
    assert (found.cross_keys, found.rows_cross_keys) == (SOURCE * found.steps, SOURCE * found.rows)
    assert asked < 1000
    found = sum_over_steps(Blocks(), last, SOURCE)
    assert asked < 10_000
    assert found.keys == pytest.approx(last * (last + 16) / 2, rel=0.01)


@pytest.mark.parametrize("last", [64, 4096, 1 << 20])
def test_the_estimate_of_a_shipped_strategy_is_its_sum(strategy, last):
    bound = replace(strategy, capacity=None) if hasattr(strategy, "capacity") else strategy
    bound = bound.bind(last)
    assert estimated_sum(bound, last, SOURCE) == sum_over_steps(bound, last, SOURCE)


@pytest.mark.parametrize("bound", [Blocks(), Window()])
def test_the_cost_of_an_estimate_does_not_grow_with_the_target(bound, monkeypatch):
    asked = []
    monkeypatch.setattr(steps, "facts_at", lambda bound, k, *sizes: asked.append(k) or facts_at(bound, k, *sizes))
    for last in (100, 10**4, 1 << 30):
        asked.clear()
        found = estimated_sum(bound, last, SOURCE)
        assert len(asked) <= 2 * FEW_ASKED + LEAF
        assert found.keys == pytest.approx(sum_over_steps(bound, last, SOURCE).keys, rel=0.05)
