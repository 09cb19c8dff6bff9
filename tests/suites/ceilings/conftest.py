"""Here the ceilings are what is tested, so that their buffer is the real one."""

import pytest

from suites.ceilings import kernels, meter


@pytest.fixture(autouse=True)
def _real_buffer(monkeypatch):
    monkeypatch.setattr(meter, "Buffer", kernels.Buffer)
