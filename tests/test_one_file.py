"""One file adds one thing: the files of docs/extending.md, dropped into a copy of the packages, are found and run."""

import pandas as pd
import pytest

from tests.command import SMALL_MODEL, copy_packages, suites
from tests.examples import FILES


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with the files of docs/extending.md, and a sweep run in them."""
    root = copy_packages(tmp_path_factory.mktemp("copy"))
    for path, text in FILES.items():
        (root / path).write_text(text)
    arguments = ["model=sliver", "seq_len=5", "measure=quick", "strategies=[static_kv,chunked_kv]"]
    suites("run", "+sweep=heads", *arguments, folder=root, packages=root, check=True)
    return root


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


def test_a_strategy_follows_the_beams_of_a_search(copy):
    asked = [*SMALL_MODEL, "seq_len=8", "measure=quick", "strategies=[static_kv,chunked_kv]", "search=beam"]
    suites("run", *asked, "hydra.run.dir=beams", folder=copy, packages=copy, check=True)
    table = pd.read_csv(copy / "beams" / "table.csv").set_index("strategy")
    assert table["status"].to_dict() == {"static_kv": "ok", "chunked_kv": "ok"}
    assert set(table["num_beams"]) == {4}


def test_a_strategy_that_loses_something_is_measured_with_its_quality_beside_its_time(copy):
    asked = [*SMALL_MODEL, "seq_len=8", "measure=quick", "strategies=[contiguous_kv,float8_kv]"]
    done = suites("run", *asked, "hydra.run.dir=approximate", folder=copy, packages=copy, check=True)
    assert "approximate" in done.stdout
    table = pd.read_csv(copy / "approximate" / "table.csv").set_index("strategy")
    assert table["status"].to_dict() == {"contiguous_kv": "ok", "float8_kv": "ok"}
    assert table["exact"].to_dict() == {"contiguous_kv": True, "float8_kv": False}
    assert 0 < table.loc["float8_kv", "kl_nats"] < 0.1
    assert 0 < table.loc["float8_kv", "top1_equal"] <= 1
    assert (table["itl_s"] > 0).all()


def test_a_contender_is_measured_in_the_same_rounds(copy):
    asked = [*SMALL_MODEL, "seq_len=4", "measure=quick", "strategies=[full_recompute]", "contenders=[mirror]"]
    suites("run", *asked, "hydra.run.dir=beside", folder=copy, packages=copy, check=True)
    table = pd.read_csv(copy / "beside" / "table.csv").set_index("strategy")
    assert table["status"].to_dict() == {"full_recompute": "ok", "mirror": "ok"}
    assert table["rounds"].nunique() == 1
    assert table.loc["mirror", "tokens_equal"] == "yes"


def test_list_and_help_show_all_of_them_with_their_first_lines(copy):
    listed = suites("list", folder=copy, packages=copy, check=True).stdout
    told = ("K/V as a list of rows", "more heads, each narrower, at one width", "nearly nothing", "99th percentile")
    for said in (*told, "This project's static_kv in a process of its own"):
        assert said in listed
    assert "p99_itl_s" in suites("run", "--help", "metrics", folder=copy, packages=copy, check=True).stdout
