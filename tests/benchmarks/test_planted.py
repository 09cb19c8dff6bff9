"""Faults that cost time and change no answer, each planted in turn: the budgets must refuse every one."""

import pytest
import torch

from strategies import parse
from strategies.models.attention import SelfAttention
from strategies.models.stores import CachedCross
from strategies.static_kv import StaticStore
from suites.guarding.budget_file import BudgetError, UnknownVersionError, of_this_torch
from suites.guarding.budgets import guard

from .budgets import ARCHITECTURES, FILE, measured


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
    monkeypatch.setattr(CachedCross, "get", lambda self: self.again())


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


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_budget_refuses(fault, architecture, monkeypatch):
    try:
        of_this_torch(FILE)
    except UnknownVersionError as unknown:
        pytest.skip(str(unknown))
    fault(monkeypatch)
    with pytest.raises(BudgetError) as raised:
        guard(FILE, measured(architecture, parse("static_kv")))
    *lines, remedy = str(raised.value).splitlines()
    for figure in FAULTS[fault]:
        (line,) = (line for line in lines if line.startswith(f"{architecture} static_kv: {figure} "))
        assert f" {figure} grew: " in line
        assert "step 12" in line
    assert "make budgets" in remedy
