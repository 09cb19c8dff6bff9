"""Fixtures of several test files: a small run, and copies of it that a test may change."""

import shutil
from pathlib import Path

import pytest

from ..command import SMALL_MODEL, suites

RUN = [*SMALL_MODEL, "seq_len=6,7", "threads=1", "measure=quick"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    chosen = "strategies=[full_recompute,cross_kv,static_kv]"
    suites("run", *RUN, chosen, "hydra.sweep.dir=a", folder=folder, check=True)
    return folder / "a"


@pytest.fixture
def twin(run_dir, tmp_path) -> Path:
    """A copy of the run, to be changed."""
    shutil.copytree(run_dir, tmp_path / "b")
    return tmp_path / "b"


@pytest.fixture
def tables(run_dir, tmp_path) -> tuple[Path, Path]:
    """Two copies of the run without raw rounds, so that their tables are what is read."""
    for name in ("first", "second"):
        shutil.copytree(run_dir, tmp_path / name, ignore=shutil.ignore_patterns("cells"))
    return tmp_path / "first", tmp_path / "second"
