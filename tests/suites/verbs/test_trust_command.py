"""``run`` with an A/A arm and rounds that stop by themselves, as users type it; and a folder of an earlier version."""

import json
import re
import shutil

import pandas as pd
import pytest

from suites.store.cell_folder import read_cells
from suites.tables.case_table import case_table
from suites.telling.ranking import rankings
from suites.telling.summary import endings, noise_floor
from suites.verbs.collected import collect
from suites.verbs.help import run_help
from tests.command import ROOT, SMALL_MODEL, suites

ASKED = ["measure.aa=true", "measure.rounds=3", "measure.precision=0.5", "measure.rounds_max=7", "measure.margin=0.03"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(standard output, the run folder)."""
    folder = tmp_path_factory.mktemp("trust")
    done = suites("run", "seq_len=4,8", *SMALL_MODEL, *ASKED, folder=folder, check=True)
    return done.stdout, folder / "results" / "latest"


def test_rounds_stop_by_themselves_and_it_is_said_by_what(run):
    _, folder = run
    table = pd.read_csv(folder / "table.csv")
    assert set(table["stopped_by"]) <= {"precision", "rounds_max"}
    assert table["rounds"].between(3, 7).all()
    assert (table.loc[table["stopped_by"] == "rounds_max", "rounds"] == 7).all()
    advice = (folder / "advice.txt").read_text()
    assert re.search(r"^  rounds: \d( to \d)?, ended by (precision|rounds_max) in \d cells?", advice, re.MULTILINE)


def test_the_noise_floor_is_reported_and_is_no_strategy(run):
    _, folder = run
    advice = (folder / "advice.txt").read_text()
    assert re.search(
        r"^  noise floor: A/A ratio \d\.\d{3} \[\d\.\d{3}, \d+\.\d{3}\], the furthest", advice, re.MULTILINE
    )
    for name in ("table", "steps", "roles"):
        assert "A/A" not in (folder / f"{name}.csv").read_text()
    assert "A/A" not in "".join(path.read_text() for path in (folder / "plots").glob("*.svg"))
    for cell in (folder / "cells").iterdir():
        assert '"full_recompute (A/A)"' in (cell / "rounds.jsonl").read_text()


def test_each_ratio_has_a_verdict_by_the_margin_that_was_asked_for(run):
    _, folder = run
    table = pd.read_csv(folder / "table.csv")
    words = {"faster", "slower", "indistinguishable", "undecided"}
    assert set(table.loc[table["strategy"] != "full_recompute", "e2e_verdict"]) <= words
    assert (table.loc[table["strategy"] == "full_recompute", "e2e_verdict"] == "baseline").all()
    assert table["e2e_p_holm"].notna().sum() == 6
    assert table["e2e_beyond"].dropna().unique().tolist() == [0.03]


def test_warnings_are_kept_and_told(run):
    out, folder = run
    kept = json.loads((folder / "noise.json").read_text())
    advice = (folder / "advice.txt").read_text().splitlines()
    assert [line.removeprefix("  warning: ") for line in advice if line.startswith("  warning: ")] == kept
    table = pd.read_csv(folder / "table.csv", keep_default_na=False)
    assert ("!: disturbed" in out) == (table["disturbed_by"] != "").any()


def test_a_narrow_terminal_keeps_the_kv_cache_and_whole_names(run):
    table = case_table(read_cells(run[1]))
    rounds = {(row.cell, row.strategy): [1.0, 2.0] for row in table.itertuples()}
    headers = {}
    for width in (120, 76, 40):
        ranking = next(rankings(table, width, rounds))
        headers[width] = [str(column.header) for column in ranking.columns]
        assert set(table["strategy"]) <= {str(name) for name in ranking.columns[0].cells}
    assert headers[120][1:] == ["ms/token", "tokens/s", "speedup over full_recompute", "KV cache", "peak", "rounds"]
    assert "speedup" in headers[76]
    assert headers[40] == ["strategy", "ms/token", "speedup", "KV cache"]


def test_help_tells_of_every_key():
    text = run_help()
    for name in ("precision", "rounds_max", "seconds_max", "margin", "aa"):
        assert f"\n  measure.{name}=" in text
    assert "measure.aa=false (true|false)" in " ".join(text.split())
    assert "measure.warmup=1 (int)" in " ".join(text.split())


def test_a_run_without_any_of_it_says_nothing_of_it(run):
    table = case_table(read_cells(run[1])).assign(stopped_by="rounds", noise_floor=float("nan"))
    assert (endings(table), noise_floor(table)) == ("", "")


def test_a_folder_of_schema_1_is_tabulated_and_drawn(run, tmp_path, capsys):
    folder = tmp_path / "old"
    shutil.copytree(run[1].resolve(), folder)
    (folder / "run.json").write_text(json.dumps(json.loads((folder / "run.json").read_text()) | {"schema": 1}))
    (folder / "plan.jsonl").unlink()
    for cell in (folder / "cells").iterdir():
        (cell / "conditions.json").unlink()
        facts = json.loads((cell / "cell.json").read_text())
        (cell / "cell.json").write_text(json.dumps({k: v for k, v in facts.items() if k != "measure"}))
        rounds = [json.loads(line) for line in (cell / "rounds.jsonl").read_text().splitlines()]
        old = [{k: v for k, v in r.items() if k != "collections"} for r in rounds if "kind" not in r]
        (cell / "rounds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in old if "A/A" not in r["strategy"]))
    assert collect(folder, report=False) == 0
    assert "noise floor" not in capsys.readouterr().out
    table = pd.read_csv(folder / "table.csv")
    assert table["stopped_by"].isna().all()
    assert table["calibration_read_gb_per_s"].isna().all()
    assert len(list((folder / "plots").glob("*.png"))) == 7


def test_the_reference_run_of_an_earlier_version_is_still_drawn(tmp_path):
    folder = tmp_path / "reference"
    shutil.copytree(ROOT / "results" / "reference" / "cpu", folder, ignore=shutil.ignore_patterns("plots"))
    suites("plot", str(folder), folder=tmp_path, check=True)
    assert list((folder / "plots").glob("*.png"))
