"""A run of three small cells, a copy of it for each test that changes it, and packages with odd strategies."""

import shutil

import pytest

from tests.command import copy_packages, suites
from tests.resuming import KEYS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The run folder of a whole run."""
    folder = tmp_path_factory.mktemp("made")
    suites("run", *KEYS, "hydra.sweep.dir=run", folder=folder, check=True)
    return folder / "run"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with the strategies of ``tests/drop_ins/spoiling.py`` in them."""
    return copy_packages(tmp_path_factory.mktemp("copy"), "spoiling")


@pytest.fixture
def run_dir(made, tmp_path):
    """A copy of the run folder."""
    return shutil.copytree(made, tmp_path / "run")
