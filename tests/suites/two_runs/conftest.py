"""Comparisons whose picture is made but not written, except where a test asks for ``drawn``."""

import pytest


@pytest.fixture
def drawn() -> None:
    """The picture is written."""


@pytest.fixture(autouse=True)
def _no_picture(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("suites.plots.style.save", lambda *_: [])
