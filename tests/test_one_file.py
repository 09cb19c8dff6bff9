"""One file adds one thing: a metric, a sweep and a model, dropped into a copy of the packages, are found and run."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from tests.command import ROOT

METRIC = '''\
"""The slowest of a hundred gaps."""

from .metric import NAN, Case, TimedRound, metric


@metric("s", "lower", "99th percentile of the gaps between tokens")
def p99_itl_s(case: Case, timed: TimedRound) -> float:
    """Tail latency."""
    gaps = sorted(timed.itl_s)
    return float(gaps[int(0.99 * (len(gaps) - 1))]) if gaps else NAN
'''
SWEEP = """\
# python -m suites run +sweep=heads        more heads, each narrower, at one width
hydra:
  sweeper:
    params:
      model.num_heads: "1,2"
"""
MODEL = """\
# python -m suites run model=sliver        nearly nothing
name: sliver
source: random
architecture: transformer2017
vocab_size: 41
d_model: 16
num_heads: 2
d_kv: 8
d_ff: 24
encoder_layers: 1
decoder_layers: 1
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with three more files, and a sweep run in them."""
    root = tmp_path_factory.mktemp("copy")
    for package in ("strategies", "suites", "conf"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "suites" / "metrics" / "p99_itl.py").write_text(METRIC)
    (root / "conf" / "sweep" / "heads.yaml").write_text(SWEEP)
    (root / "conf" / "model" / "sliver.yaml").write_text(MODEL)
    run(root, "run", "+sweep=heads", "model=sliver", "seq_len=5", "measure=quick", "strategies=[static_kv]")
    return root


def run(root, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "suites", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_metric_is_a_column_of_the_table_beside_the_others(copy):
    table = pd.read_csv(copy / "results" / "latest" / "table.csv")
    assert (table["p99_itl_s"] >= table["itl_s"]).all()


def test_a_sweep_runs_a_cell_for_each_of_its_values(copy):
    table = pd.read_csv(copy / "results" / "latest" / "table.csv")
    assert len(table) == 2
    assert table["cell"].nunique() == 2
    assert (table["status"] == "ok").all()


def test_a_model_is_measured_by_its_name(copy):
    models = pd.read_csv(copy / "results" / "latest" / "table.csv")["model"]
    assert models.tolist() == ["sliver(num_heads=1)", "sliver(num_heads=2)"]


def test_list_and_help_show_all_three_with_their_first_lines(copy):
    listed = run(copy, "list")
    for said in ("more heads, each narrower, at one width", "nearly nothing", "99th percentile of the gaps"):
        assert said in listed
    assert "p99_itl_s" in run(copy, "run", "--help")
