"""Comparisons without their picture, except where a test asks for ``drawn``."""

import pytest


@pytest.fixture
def drawn() -> None:
    """The picture is drawn."""


@pytest.fixture(autouse=True)
def _no_picture(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("suites.plots.comparison.figure", lambda *_: None)
