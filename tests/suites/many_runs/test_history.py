"""``history``: one case over runs of many commits, generated: what is found, and what is written."""

import json
import re

import pandas as pd
import pytest

from suites.__main__ import main
from suites.many_runs.history import COLUMNS, QUANTITIES
from suites.many_runs.runs import UNKNOWN
from suites.plots.history import figure
from suites.store.frame import read_frame
from suites.two_runs.report import value

from .asked import AT, COUNT, history, told
from .folders import AMD, ARM, edit, past_run, past_runs, without_hardware


def test_a_step_is_found_at_its_run_with_what_changed_there(stepped, capsys):
    text, _ = told(capsys, stepped)
    commit = json.loads((stepped / f"run{AT:02}" / "environment.json").read_text())["commit"][:7]
    since = rf"slower since commit {commit} \(2026-01-10, torch 2.13.0 -> 2.14.0\)"
    for what in ("Relative to full_recompute", "End to end, time of a step"):
        factor, low, high = map(float, re.search(rf"{what}: {since}: (\S+)x \[(\S+), (\S+)\]", text).groups())
        assert low < 1.3 < high
        assert 1.2 < factor < 1.4
    assert "chance that any change is told above is at most 5 %" in text


def test_a_strategy_that_did_not_change_has_no_change_though_another_did(stepped, capsys):
    text, _ = told(capsys, stepped, "--strategy", "cross_kv")
    assert f"No change of level in {COUNT} runs." in text
    assert "since commit" not in text


def test_nothing_is_claimed_across_hardware(tmp_path):
    for machine, start, speed in ((AMD, 0, 1.0), (ARM, 12, 0.4)):
        for day in range(start, start + 12):
            past_run(tmp_path / f"run{day}", day, machine=machine, speed=speed)
    found = history(tmp_path)
    assert [len(found.of(hardware)) for hardware in found.hardware] == [12, 12]
    assert not any(found.changes.values())
    for path in tmp_path.glob("*/environment.json"):
        without_hardware(path.parent)
        edit(path, **AMD)
    assert [change.at for change in history(tmp_path).changes["AMD EPYC (AVX512), 2 cores", "e2e_s"]] == [12]
    for path in tmp_path.glob("*/environment.json"):
        path.unlink()
    assert history(tmp_path).hardware == [UNKNOWN]
    assert not history(tmp_path).changes


def test_too_few_runs_are_too_few_to_say(tmp_path, capsys):
    text, _ = told(capsys, past_runs(tmp_path, 4, step=2.0, at=2))
    assert "4 runs on this hardware: too few to say (at least 10)." in text
    assert "<" not in text
    assert "permutation tests" not in text


def test_the_csv_the_json_and_the_history_are_equal(stepped, capsys):
    out, _ = told(capsys, stepped, "--json")
    read = read_frame(stepped / ".out" / "history.csv", COLUMNS)
    assert list(read) == COLUMNS
    rows = json.loads(out)["rows"]
    made = history(stepped).rows
    assert len(rows) == len(made) == len(read) == COUNT
    for name in COLUMNS:
        assert [None if pd.isna(one) else one for one in read[name]] == [row[name] for row in rows], name
    pd.testing.assert_frame_equal(read, made, check_dtype=False)
    assert main(["history", str(stepped), "--dir", str(stepped / ".out"), "--format", "csv"]) == 0
    assert capsys.readouterr().out == (stepped / ".out" / "history.csv").read_text()


def test_the_terminal_shows_the_runs_of_the_csv(stepped, capsys):
    assert main(["history", str(stepped), "--dir", str(stepped / ".out")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"\d{4}-\d\d-\d\d ", line)]
    rows = read_frame(stepped / ".out" / "history.csv", COLUMNS).to_dict("records")
    assert len(lines) == COUNT
    for line, row in zip(lines, rows, strict=True):
        assert line.startswith(f"{row['started'][:10]}  {row['commit'][:7]}  {1 / row['e2e_ratio']:.2f}x [")
        assert value("e2e_s", row["e2e_s"]) in line
        assert ("< all" in line) == (row is rows[AT])


@pytest.mark.parametrize("columns", [80, 100])
def test_the_table_fits_the_terminal(stepped, capsys, monkeypatch, columns):
    monkeypatch.setattr("suites.words.console.READABLE", columns)
    monkeypatch.setattr("suites.words.console.standard_output.__defaults__", (columns,))
    assert main(["history", str(stepped), "--dir", str(stepped / ".out")]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


@pytest.mark.usefixtures("drawn")
def test_each_quantity_is_drawn_and_the_line_stands_before_the_first_run_of_the_new_level(stepped, capsys):
    _, error = told(capsys, stepped)
    assert "history.csv and plots in" in error
    for quantity in QUANTITIES:
        for kind in ("png", "svg"):
            assert (stepped / ".out" / "plots" / f"history_{quantity}.{kind}").stat().st_size > 1000
    found = history(stepped)
    panels = figure(found.rows, "e2e_ratio", found.hardware).axes
    dashed = [line.get_xdata()[0] for line in panels[0].lines if line.get_linestyle() == "--"]
    assert (len(panels), dashed) == (1, [AT - 0.5])
