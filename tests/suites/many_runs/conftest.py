"""Runs of one machine with a step among them, generated, and no pictures unless a test asks for them."""

import shutil

import pytest

from .asked import AT, COUNT
from .folders import past_runs


@pytest.fixture(scope="module")
def stepped(tmp_path_factory):
    """Runs of one machine; static_kv takes 1.3 times the time from the run ``AT`` on."""
    return past_runs(tmp_path_factory.mktemp("stepped"), COUNT, step=1.3, at=AT)


@pytest.fixture
def copied(stepped, tmp_path):
    """The same, to be changed."""
    shutil.copytree(stepped, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def _no_picture(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("suites.plots.style.save", lambda *_: [])


@pytest.fixture
def drawn():
    """The pictures are written."""
