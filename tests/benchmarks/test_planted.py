"""Faults that cost time and change no answer, each planted in turn: the budgets must refuse every one."""

from dataclasses import replace

import pytest
import torch

from strategies import parse
from strategies.models.attention import SelfAttention
from strategies.models.stores import CachedCross
from strategies.search import beam
from strategies.search.beam import BeamSearch
from strategies.search.options import Beam
from strategies.static_kv import StaticStore
from suites.guarding.budget_file import BudgetError, UnknownVersionError, of_this_torch
from suites.guarding.budgets import guard

from .budgets import ARCHITECTURES, FILE, Guarded, measured


def extra_allocation(monkeypatch):
    forward = SelfAttention.forward
    monkeypatch.setattr(SelfAttention, "forward", lambda *args: forward(*args) + 0.0)


def extra_synchronisation(monkeypatch):
    append = StaticStore.append

    def asking(self, k_BHTK, v_BHTK, step):
        assert int(step.position_1) == step.length - 1
        return append(self, k_BHTK, v_BHTK, step)

    monkeypatch.setattr(StaticStore, "append", asking)


def cross_kv_projected_at_each_step(monkeypatch):
    project_once = CachedCross.__init__

    def keeping(self, project, memory_BSD):
        project_once(self, project, memory_BSD)
        self.again = lambda: project(memory_BSD)

    monkeypatch.setattr(CachedCross, "__init__", keeping)
    monkeypatch.setattr(CachedCross, "get", lambda self, q_BHTK, bias: (*self.again(), bias))


def static_cache_zeroed_at_each_step(monkeypatch):
    append = StaticStore.append

    def zeroing(self, k_BHTK, v_BHTK, step):
        for buffer_BGCK in (self._k_BGCK, self._v_BGCK):
            buffer_BGCK[:, :, step.length :].zero_()
        return append(self, k_BHTK, v_BHTK, step)

    monkeypatch.setattr(StaticStore, "append", zeroing)


def static_cache_allocated_at_each_step(monkeypatch):
    append = StaticStore.append

    def renewing(self, k_BHTK, v_BHTK, step):
        self._k_BGCK, self._v_BGCK = (torch.zeros_like(buffer).copy_(buffer) for buffer in (self._k_BGCK, self._v_BGCK))
        return append(self, k_BHTK, v_BHTK, step)

    monkeypatch.setattr(StaticStore, "append", renewing)


def attention_computed_twice(monkeypatch):
    attend = torch.nn.functional.scaled_dot_product_attention

    def twice(*args, **kwargs):
        attend(*args, **kwargs)
        return attend(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", twice)


# The fault -> the figures that must have grown, among others.
FAULTS = {
    extra_allocation: ("operators", "allocations", "allocated_bytes"),
    extra_synchronisation: ("operators", "synchronisations"),
    cross_kv_projected_at_each_step: ("flops", "moved_bytes", "operators", "allocations", "products cross_attn.kv"),
    static_cache_zeroed_at_each_step: ("operators",),
    static_cache_allocated_at_each_step: ("moved_bytes", "allocations", "allocated_bytes"),
    attention_computed_twice: ("flops", "products self_attn.scores"),
}


def buffers_allocated_at_each_reordering(monkeypatch):
    def select(self, parent_B, step):
        self._k_BGCK, self._v_BGCK = self._k_BGCK.index_select(0, parent_B), self._v_BGCK.index_select(0, parent_B)

    monkeypatch.setattr(StaticStore, "select", select)


def rows_reordered_that_are_not_filled(monkeypatch):
    select = StaticStore.select

    def all_rows(self, parent_B, step):
        select(self, parent_B, replace(step, length=self._capacity + 1))

    monkeypatch.setattr(StaticStore, "select", all_rows)


def tokens_reordered_with_the_beams(monkeypatch):
    choose = BeamSearch.choose

    def moving(self, logits_XV):
        chosen = choose(self, logits_XV)
        torch.stack(self._tokens).gather(2, chosen.parent_BW.expand(len(self._tokens), -1, -1))
        return chosen

    monkeypatch.setattr(BeamSearch, "choose", moving)


def continuations_all_sorted(monkeypatch):
    def sort(logprob_XV, score_BW, count):
        score_BWV = logprob_XV.view(*score_BW.shape, -1) + score_BW[:, :, None]
        values, indices = score_BWV.flatten(1).sort(descending=True)
        return values[:, :count], indices[:, :count]

    monkeypatch.setattr(beam, "best_continuations", sort)


def search_that_asks_whether_it_has_ended(monkeypatch):
    choose = BeamSearch.choose

    def asking(self, logits_XV):
        assert not self.has_ended()
        return choose(self, logits_XV)

    monkeypatch.setattr(BeamSearch, "choose", asking)


BEAM_FAULTS = {
    buffers_allocated_at_each_reordering: ("allocations", "allocated_bytes"),
    rows_reordered_that_are_not_filled: ("moved_bytes",),
    tokens_reordered_with_the_beams: ("moved_bytes", "operators", "allocations"),
    continuations_all_sorted: ("allocated_bytes",),
    search_that_asks_whether_it_has_ended: ("operators", "synchronisations"),
}
EVERY = [
    *((fault, Guarded(each, parse("static_kv"))) for fault in FAULTS for each in ARCHITECTURES),
    *((fault, Guarded("t5", parse("static_kv"), Beam(num_beams=4))) for fault in BEAM_FAULTS),
]


@pytest.mark.parametrize(("fault", "one"), EVERY, ids=lambda each: getattr(each, "__name__", None) or each.name)
def test_the_budget_refuses(fault, one, monkeypatch):
    try:
        of_this_torch(FILE)
    except UnknownVersionError as unknown:
        pytest.skip(str(unknown))
    fault(monkeypatch)
    with pytest.raises(BudgetError) as raised:
        guard(FILE, measured(one))
    *lines, remedy = str(raised.value).splitlines()
    step = "step 11" if fault in BEAM_FAULTS else "step 12"
    for figure in {**FAULTS, **BEAM_FAULTS}[fault]:
        (line,) = (line for line in lines if line.startswith(f"{one.name}: {figure} "))
        assert f" {figure} grew: " in line
        assert step in line
    assert "make budgets" in remedy
