"""A GPU that torch finds on a machine without one, under a stand-in for NVML."""

import sys
from types import SimpleNamespace

import pytest
import torch

from suites.machine import nvml

from .nvml_stand_in import UUID


@pytest.fixture
def h100(monkeypatch):
    """``h100(driver)``: torch finds a GPU, and pynvml is ``driver``, or is not installed where that is None."""
    nvml._opened.cache_clear()

    def set_up(driver):
        properties = SimpleNamespace(
            name="NVIDIA H100", total_memory=80 << 30, uuid=UUID, major=9, minor=0, multi_processor_count=132,
            L2_cache_size=50 << 20,
        )  # fmt: skip
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91900)
        monkeypatch.setitem(sys.modules, "pynvml", driver)
        return driver

    yield set_up
    nvml._opened.cache_clear()
