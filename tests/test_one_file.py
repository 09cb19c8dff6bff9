"""One file adds one thing: the files of docs/extending.md, dropped into a copy of the packages, are found and run."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from tests.command import ROOT
from tests.examples import FILES


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with the files of docs/extending.md, and a sweep run in them."""
    root = tmp_path_factory.mktemp("copy")
    for package in ("strategies", "suites", "conf"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in FILES.items():
        (root / path).write_text(text)
    arguments = ["model=sliver", "seq_len=5", "measure=quick", "strategies=[static_kv,chunked_kv]", "threads=1"]
    run(root, "run", "+sweep=heads", *arguments, "report=false", "plots=false")
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
    assert len(table) == 4
    assert table["cell"].nunique() == 2
    assert (table["status"] == "ok").all()


def test_a_model_is_measured_by_its_name(copy):
    models = pd.read_csv(copy / "results" / "latest" / "table.csv")["model"]
    assert sorted(set(models)) == ["sliver(num_heads=1)", "sliver(num_heads=2)"]


def test_a_strategy_is_measured_beside_the_others(copy):
    strategies = pd.read_csv(copy / "results" / "latest" / "table.csv")["strategy"]
    assert sorted(set(strategies)) == ["chunked_kv", "static_kv"]


def test_a_contender_is_measured_in_the_same_rounds(copy):
    named = [
        "model=tiny",
        "seq_len=4",
        "measure=quick",
        "threads=1",
        "report=false",
        "plots=false",
        "hydra.run.dir=beside",
    ]
    run(copy, "run", *named, "strategies=[full_recompute]", "contenders=[mirror]")
    table = pd.read_csv(copy / "beside" / "table.csv").set_index("strategy")
    assert table["status"].to_dict() == {"full_recompute": "ok", "mirror": "ok"}
    assert table["rounds"].nunique() == 1
    assert table.loc["mirror", "tokens_equal"] == "yes"


def test_list_and_help_show_all_of_them_with_their_first_lines(copy):
    listed = run(copy, "list")
    told = ("K/V as a list of rows", "more heads, each narrower, at one width", "nearly nothing", "99th percentile")
    for said in (*told, "This project's static_kv in a process of its own"):
        assert said in listed
    assert "p99_itl_s" in run(copy, "run", "--help")
