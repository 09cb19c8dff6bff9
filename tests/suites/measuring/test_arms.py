"""What the arms of a cell have in common."""

import gc

import pytest

from suites.measuring.arms import collector_set_aside


@pytest.fixture
def done(monkeypatch):
    """What is done with the objects that are alive, without doing it."""
    done = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: done.append("unfreeze"))
    return done


def test_objects_are_frozen_inside_and_thawed_after(done):
    with collector_set_aside():
        assert done == ["freeze"]
    assert done == ["freeze", "unfreeze"]


def test_objects_are_thawed_after_an_error_too(done):
    with pytest.raises(RuntimeError), collector_set_aside():
        raise RuntimeError
    assert done == ["freeze", "unfreeze"]
