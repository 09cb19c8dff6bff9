"""A run folder of an old version, commit de30ccf, as it was written: every verb that reads a run still reads it.

It holds what runs had then: eager and compiled strategies, two contenders, an A/A arm, calibrations, and tables with
fewer columns than today's. Where the formula of a column is changed on purpose, the column goes to ``CHANGED``.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from suites import load
from suites.__main__ import main
from suites.tables.executions import BEST, EQUAL, by_execution
from suites.words.comparison import spoken
from tests.command import ROOT

OLD = ROOT / "tests" / "runs" / "de30ccf"
EAGER = ["full_recompute", "cross_kv", "contiguous_kv", "static_kv"]
COMPILED = ["contiguous_kv(execution=compiled)", "static_kv(execution=compiled,read=bucket)"]
CONTENDERS = ["transformers_dynamic", "ctranslate2_int8"]
CHANGED: set[str] = set()
"""Columns of the kept tables whose formula is another one since."""


@pytest.fixture
def old(tmp_path) -> Path:
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


def kept(name: str, folder: Path = OLD) -> pd.DataFrame:
    """A table as the file has it."""
    return pd.read_csv(folder / f"{name}.csv")


def assert_keeps(now: pd.DataFrame, then: pd.DataFrame) -> None:
    """Every column and row of ``then``, in its order: words, counts and bytes to the digit, other numbers to nine of
    them, as the last digits of a logarithm are the library's.
    """
    columns = [name for name in then if name not in CHANGED]
    assert [name for name in now if name in then] == [*then]
    for name in columns:
        mine, theirs = now[name], then[name]
        if mine.dtype.kind in "iuf" and theirs.dtype.kind in "iuf":
            np.testing.assert_allclose(mine.astype(float), theirs.astype(float), rtol=1e-9, atol=0, err_msg=name)
            whole = theirs.notna() & (theirs % 1 == 0)
            assert mine[whole].tolist() == theirs[whole].tolist(), name
        else:
            words = [column.astype(object).fillna("").tolist() for column in (mine, theirs)]
            assert words[0] == words[1], name


def test_tables_made_anew_from_its_rounds_keep_every_figure(old, monkeypatch, capsys):
    monkeypatch.setattr("suites.plots.FIGURES", ())
    for name in ("table", "steps", "roles"):
        (old / f"{name}.csv").unlink()
    assert main(["plot", str(old), "--retable"]) == 0
    told = capsys.readouterr().out
    for name in ("table", "steps", "roles"):
        assert_keeps(kept(name, old), kept(name))
    assert all(label in told.replace("\n", "") for label in [*EAGER, *CONTENDERS])
    lines = [json.loads((folder / "noise.json").read_text()) for folder in (old, OLD)]
    assert len(lines[0]) == len(lines[1]) == 1  # the words may be others


def test_its_figures_are_drawn_of_the_tables_as_they_are(old, capsys):
    assert main(["plot", str(old)]) == 0
    names = ["totals", "totals_best", "step_latency", "tradeoff", "flops", "memory", "roles", "roofline", "rounds"]
    assert capsys.readouterr().out.split() == [str(old / "plots" / f"{name}.png") for name in names]
    drawn = (old / "plots" / "totals_best.svg").read_text()
    assert all(label in drawn for label in [spoken(COMPILED[0]), *CONTENDERS])
    assert_keeps(kept("table", old), kept("table"))


def test_its_page_names_every_case(old):
    assert main(["report", str(old)]) == 0
    page = (old / "report.html").read_text()
    assert all(label in page for label in [*EAGER, *COMPILED, *CONTENDERS])
    assert "In no plot" not in page


@pytest.mark.parametrize("raw", [True, False], ids=["of its rounds", "of its tables"])
def test_compared_with_itself_it_is_the_same(old, raw, tmp_path, monkeypatch, capsys):
    twin = tmp_path / "twin"
    shutil.copytree(old, twin)
    if not raw:
        shutil.rmtree(old / "cells")
    monkeypatch.setattr("suites.plots.comparison.figure", lambda *_: None)
    assert main(["compare", str(old), str(twin), "--json", "--dir", str(tmp_path / "compared")]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = pd.DataFrame(found["rows"])
    assert found["notes"] == []
    assert {*rows["strategy"]} == {*EAGER, *COMPILED, *CONTENDERS}
    assert not rows["gate"].any()
    exact = rows[rows["kind"] == "deterministic"]
    assert {*exact["verdict"]} == {"same"}
    np.testing.assert_allclose(rows["a"], rows["b"], rtol=1e-9)


def test_loaded_it_has_its_rows_and_gaps_where_it_knew_no_column(old, monkeypatch):
    monkeypatch.setattr("suites.plots.FIGURES", ())
    then = load(OLD)
    assert_keeps(then, kept("table"))
    assert main(["plot", str(old), "--retable"]) == 0
    now = load(old)
    assert {*now} == {*then}
    # what it had in one way alone, in the label or for the run
    told = {"execution", "attention", "tf32", "search", "num_beams", "first_sentence", "cpu"}
    unknown = [name for name in then if name not in {*kept("table"), *told}]
    assert "crossed_floor" in unknown
    assert all(then[name].isna().all() or (then[name] == "").all() for name in unknown)
    assert now[[*told]].to_dict() == then[[*told]].to_dict()
    assert {*then["cpu"]} == {json.loads((OLD / "environment.json").read_text())["cpu"]}
    assert ({*then["attention"]}, {*then["tf32"]}) == ({"auto"}, {"false"})
    assert ({*then["search"]}, {*then["num_beams"]}, {*then["first_sentence"]}) == ({"greedy"}, {1}, {0})
    assert_keeps(now, then.drop(columns=[*unknown, *told]))
    assert then.attrs["units"] == now.attrs["units"]


@pytest.mark.parametrize("anew", [False, True], ids=["of its tables", "of its rounds"])
def test_the_execution_of_each_case_is_known(old, anew, monkeypatch):
    monkeypatch.setattr("suites.plots.FIGURES", ())
    assert not anew or main(["plot", str(old), "--retable"]) == 0
    table = load(old)
    assert table["strategy"].tolist() == [*EAGER, *COMPILED, *CONTENDERS] * 2
    executions = dict(zip(table["strategy"], table["execution"], strict=True))
    known = dict.fromkeys(EAGER, "eager") | dict.fromkeys(COMPILED, "compiled")
    assert executions == known | dict.fromkeys(CONTENDERS, "")
    (equal, eager), (best, quickest) = by_execution(table)
    assert (equal, best) == (EQUAL, BEST)
    assert {*eager["strategy"]} == {*EAGER, *CONTENDERS}
    assert quickest.groupby("cell")["strategy"].nunique().tolist() == [6, 6]
