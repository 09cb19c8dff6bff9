"""Regions inside a module: watched while the model is, and untouched otherwise."""

import pytest
import torch
from torch import nn

from suites.probes import record
from suites.probes.module_calls import module_calls


class Copying(nn.Module):
    probe_regions = ("append",)

    def __init__(self):
        super().__init__()
        self.regions = 3  # of no meaning to us

    def append(self, x, fail=False):
        if fail:
            raise ValueError("planted")
        return x.clone()

    def forward(self, x, fail=False):
        return self.append(x, fail).clone()


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = Copying()

    def forward(self, x, fail=False):
        return self.part(x, fail)


def test_what_a_region_copies_is_told_apart_from_its_module():
    model = Model()
    with record(model) as recording:
        model(torch.ones(3))
    assert [copy.role for copy in recording.copies] == ["part.append", "part"]


def test_a_region_is_left_as_it_was_also_after_an_error():
    model = Model()
    with module_calls(model) as frames:
        with pytest.raises(ValueError, match="planted"):
            model(torch.ones(3), fail=True)
        assert [frame.role for frame in frames] == ["outside"]
        with module_calls(model):  # one inside another
            model(torch.ones(3))
        assert "append" in vars(model.part)
    assert "append" not in vars(model.part)
