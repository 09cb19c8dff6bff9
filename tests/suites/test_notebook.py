"""Measuring from Python: one call, a table with units, and what a notebook shows."""

import sys

import numpy as np
import pytest

import suites
from suites.metrics import metrics
from suites.notebook import _value
from suites.settings.config import ConfigError
from suites.store.files import ResultsError
from tests.command import SMALL_MODEL

SIZES = {size.partition("=")[0].removeprefix("model."): size.partition("=")[2] for size in SMALL_MODEL[1:]}
SHORT = {"measure": "quick", "threads": 1, "report": False, "quiet": True}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A sweep of two lengths."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    strategies = ["full_recompute", "static_kv(read=buffer)"]
    return suites.measure(strategies, SIZES, run_dir=folder, seq_len=[3, 4], **SHORT)


def test_a_list_is_swept_and_every_strategy_measured(measured):
    assert measured.complete
    cases = measured.table[["tgt_len", "strategy"]].values.tolist()
    assert sorted(map(tuple, cases)) == [
        (length, name) for length in (3, 4) for name in ("full_recompute", "static_kv(read=buffer)")
    ]
    assert set(measured.steps["k"]) == {1, 2, 3, 4}
    assert measured.advice.startswith("advice: ")


def test_the_table_is_that_of_the_folder_with_units_and_formulas(measured):
    table = suites.load(measured.dir)
    assert table.equals(measured.table)
    for name, metric in metrics().items():
        assert table.attrs["units"][name] == metric.unit
        assert table.attrs["formulas"][name] == metric.formula


def test_it_shows_itself_as_the_ranked_table_and_in_a_notebook_with_the_plot(measured):
    assert "batch 1, 4 -> 4" in repr(measured)
    assert "static_kv(read=buffer)" in repr(measured)
    shown = measured._repr_html_()
    assert shown.count("<img") == 1
    *_, last = (line for line in repr(measured).splitlines() if line.startswith("full_recompute"))
    assert last.split()[1] in shown  # of the longest length, which is the one that is shown


def test_nothing_is_printed_and_the_command_line_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = list(sys.argv)
    found = suites.measure("static_kv", SIZES, seq_len=3, plots=False, **SHORT)
    assert (capsys.readouterr().out, sys.argv) == ("", arguments)
    assert found.dir.parent == tmp_path / "results"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"strategies": ["statik_kv"]}, "unknown strategy 'statik_kv'"),
        ({"model": "huge"}, "unknown model 'huge'"),
        ({"model": "some/t5"}, r"a checkpoint folder is given as a Path: model=Path\('some/t5'\)$"),
        (
            {"src_text": ["the cat", "a dog"]},
            "a list of paths to sweep, and 'the cat' does not exist",
        ),
        ({"src_ids": [[5, 6], [7]]}, "^src_ids takes a path, not a value of type list; write a file"),
        ({"src_features": np.ones((1, 4, 6))}, "^src_features takes a path, not a value of type ndarray"),
        ({"src_features": "lost.npy"}, "^src_features=lost.npy cannot be read"),
        ({"seq_length": 3}, "unknown key 'seq_length'"),
        ({"seq_len": 0}, "seq_len=0 is not allowed"),
    ],
)
def test_a_mistake_is_a_value_error_before_anything_runs(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        suites.measure(**({"quiet": True} | given))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_run_is_said(tmp_path):
    with pytest.raises(ResultsError, match="does not exist"):
        suites.load(tmp_path)


@pytest.mark.parametrize("text", ["a folder/it's", "static_kv(capacity=64,read=buffer)", "x{y}", "a,b"])
def test_any_text_survives_hydra(text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    assert parser.parse_override(f"key={_value(text)}").value() == text
    assert parser.parse_override(f"key={_value([text, 'b'])}").value() == [text, "b"]


def test_a_checkpoint_is_given_as_a_path(tmp_path):
    from pathlib import Path

    with pytest.raises((ConfigError, ValueError), match=r"config\.json does not exist"):
        suites.measure("static_kv", Path(tmp_path), run_dir=tmp_path / "run", seq_len=3, **SHORT)
