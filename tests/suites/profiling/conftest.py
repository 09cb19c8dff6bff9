"""Profiles of tiny strategies, shared by the tests of what is read from them."""

from functools import cache

import pytest

from .arms import arms_of, trace


@pytest.fixture(scope="session")
def traced(tmp_path_factory):
    """``traced(label, architecture)``: the profile of a strategy's last steps; equal calls share one."""
    folder = tmp_path_factory.mktemp("profile")

    @cache
    def run(label, architecture="t5"):
        return trace(*arms_of(label, architecture), folder / architecture)

    return run
