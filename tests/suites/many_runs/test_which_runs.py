"""Which runs and which case ``history`` takes, what it marks and leaves out, and mistakes."""

import json
import re
import shutil

import pandas as pd
import pytest

from suites.__main__ import main
from suites.many_runs.history import COLUMNS
from suites.many_runs.runs import hardware_of, machine_of, read_past_run
from suites.store.frame import read_frame

from ..two_runs.folders import edit as edit_table
from .asked import COUNT, in_another_cell, told
from .folders import REAL, edit, past_run, without_hardware


def test_a_run_counts_once_whatever_leads_to_it(copied, capsys):
    (copied / "latest").symlink_to("run03")
    (copied / "loop").symlink_to(".")
    text, error = told(capsys, copied, str(copied / "run03"), str(copied.parent))
    assert f": {COUNT} runs on one kind of hardware" in text
    assert error.count("\n") == 1  # where the files are
    assert "latest" not in (copied / ".out" / "history.csv").read_text()


def test_a_damaged_run_is_one_line_and_the_others_are_told(copied, capsys):
    (copied / "run02" / "table.csv").write_text("cell,model\n")
    (copied / "run03" / "run.json").write_text("{}")
    edit(copied / "run04" / "run.json", started="some day")
    (copied / "run05" / "environment.json").write_text("[")
    (copied / "run06" / "table.csv").unlink()
    (copied / "nothing").mkdir()
    text, error = told(capsys, copied, str(copied / "nothing"), str(copied / "nowhere"), code=1)
    assert f": {COUNT - 5} runs on" in text
    for said in (
        r"run02 is left out: .*lacks the column",
        r"run03 is left out: .*run.json is damaged",
        r"run04 is left out: .*no date in `started`",
        r"run05 is left out: .*environment.json is damaged",
        r"run06 is left out: .*neither table.csv nor a measured cell",
        r"nothing holds no run folder",
        r"nowhere is no folder",
    ):
        assert len(re.findall(f"^decodebench: .*{said}.*$", error, re.MULTILINE)) == 1, said
    assert error.count("\n") == 8


def test_a_run_with_other_settings_and_one_that_failed_are_left_out_with_the_reason(copied, capsys):
    shutil.rmtree(copied / "run02")
    past_run(copied / "run02", 2, failed="static_kv")
    in_another_cell(copied / "run01")
    text, _ = told(capsys, copied, "--strategy", "static_kv")
    assert "run01 is left out: other settings (threads 3, not 1)" in text
    assert "run02 is left out: static_kv is failed there (no memory)" in text
    assert f": {COUNT - 2} runs on" in text


def test_a_run_of_another_search_is_left_out(copied, capsys):
    for strategy in ("full_recompute", "cross_kv", "static_kv"):
        edit_table(copied / "run01", "search", strategy, lambda _: "beam")
        edit_table(copied / "run01", "num_beams", strategy, lambda _: 4)
    in_another_cell(copied / "run01")
    text, _ = told(capsys, copied, "--strategy", "static_kv")
    assert "run01 is left out: other settings (search beam, not greedy, threads 3, not 1, num_beams 4, not 1)" in text


def test_a_disturbed_run_is_marked_and_can_be_left_out(copied, capsys):
    for strategy in ("full_recompute", "cross_kv", "static_kv"):
        edit_table(copied / "run05", "disturbed_by", strategy, lambda _: "other load")
    text, _ = told(capsys, copied)
    assert "2026-01-06 ~" in text
    assert f"~ 1 of {COUNT} runs: the cell was disturbed" in text
    text, _ = told(capsys, copied, "--undisturbed")
    assert "run05 is left out: its cell was disturbed (other load)" in text
    assert f": {COUNT - 1} runs on" in text
    assert "~" not in text


def test_a_ratio_to_another_baseline_is_left_out_and_the_time_is_kept(copied, capsys):
    edit_table(copied / "run05", "baseline", "static_kv", lambda _: "cross_kv")
    text, _ = told(capsys, copied, "--strategy", "static_kv")
    assert "run05: its ratio is to cross_kv, not to full_recompute, and is left out" in text
    row = read_frame(copied / ".out" / "history.csv", COLUMNS).iloc[5]
    assert pd.isna(row["e2e_ratio"])
    assert row["e2e_s"] > 0


def test_the_baseline_has_times_alone(stepped, capsys):
    text, _ = told(capsys, stepped, "--strategy", "full_recompute")
    assert "speedup over" not in text
    assert f"No change of level in {COUNT} runs." in text


def test_a_run_of_an_older_version_is_told(copied, capsys):
    edit(copied / "run00" / "run.json", schema=1)
    text, _ = told(capsys, copied)
    assert f"1 of {COUNT} runs: of an older version" in text
    remarks = read_frame(copied / ".out" / "history.csv", COLUMNS)["remark"]
    assert remarks.tolist() == ["older version"] + [""] * (COUNT - 1)


def test_the_hardware_of_the_case_goes_before_that_of_the_run(tmp_path):
    path = without_hardware(past_run(tmp_path / "run", 0))
    run = read_past_run(path)
    row = run.table.to_dict("records")[0]
    assert hardware_of(row, machine_of(run, row)) == "AMD EPYC (AVX512), 2 cores"
    (path / "cells" / row["cell"]).mkdir(parents=True)
    (path / "cells" / row["cell"] / "environment.json").write_text(json.dumps({"cpu": "Xeon", "cores": 4}))
    assert hardware_of(row, machine_of(run, row)) == "Xeon (AVX512), 4 cores"
    row |= {"cpu": "EPYC 9654", "gpu": "NVIDIA H100"}
    assert hardware_of(row, machine_of(run, row)) == "EPYC 9654 (AVX512), 4 cores"
    assert hardware_of(row | {"device": "cuda"}, machine_of(run, row)) == "NVIDIA H100 with EPYC 9654 (AVX512), 4 cores"


def test_runs_of_one_commit_are_told_by_their_hour(stepped, copied, capsys):
    for path in copied.glob("*/environment.json"):
        edit(path, commit="abcdef1234", uncommitted_changes=True)
    text, _ = told(capsys, copied)
    assert "slower since a run (2026-01-10 09:30, of the same commit as the run before, torch" in text
    assert "abcdef1+" in text
    assert "+ behind a commit: there were changes that were not committed" in text
    assert "permutation tests" in text


def test_a_run_as_an_old_version_wrote_it_is_read(tmp_path, capsys):
    """Without table.csv, the table is made from the cells, and then says what disturbed them."""
    shutil.copytree(REAL, tmp_path / "old")
    text, _ = told(capsys, tmp_path)
    assert "1 run on this hardware: too few to say" in text
    assert "2026-11-26 de30ccf 2.40x [0.19, 29.6] 1.78 ms 176 µs 1 of 1 run: of an older version" in text
    (tmp_path / "old" / "table.csv").unlink()
    text, _ = told(capsys, tmp_path)
    assert "2026-11-26 ~ de30ccf 2.40x [0.19, 29.6] 1.78 ms 176 µs" in text


def test_the_newest_case_that_most_runs_measured_is_taken_and_the_others_are_listed(stepped, capsys):
    text, _ = told(capsys, stepped)
    assert text.startswith("static_kv in sliver, batch 1, 6 -> 6 tokens: ")
    assert f"Others: --strategy full_recompute ({COUNT}), cross_kv ({COUNT})" in text
    text, _ = told(capsys, stepped, "--strategy", "cross_kv", "--cell", "s6_t6")
    assert "Others" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--strategy", "statik_kv"],
            "no strategy 'statik_kv' of these runs; did you mean 'static_kv'? known: ",
        ),
        (["--cell", "b99"], "no cell 'b99' of these runs; known: sliver_b1_s6_t6_cpu_fp32_aeb27bb9"),
        (["--level", "2"], "2 is not allowed; give a share between 0 and 1"),
        (["--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_a_mistake_in_a_choice_is_one_line(stepped, capsys, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert main(["history", str(stepped), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_a_folder_that_does_not_exist_leaves_the_results_and_exits_with_1(stepped, capsys, tmp_path):
    text, error = told(capsys, stepped, str(tmp_path / "mistyped"), code=1)
    assert text.startswith("static_kv in sliver")
    assert f"{tmp_path / 'mistyped'} is no folder" in error
    told(capsys, stepped, str(tmp_path))  # a pattern may well match a folder without runs


def test_no_run_and_no_shared_case_are_one_line(tmp_path, capsys):
    assert main(["history", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch("decodebench: history: no run can be read: .* holds no run folder .*\n", error)
    for day in (0, 1):
        past_run(tmp_path / f"run{day}", day)
    in_another_cell(tmp_path / "run0")
    assert main(["history", str(tmp_path), "--dir", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert re.search(r"the runs share no case \(.*run0: other settings \(threads 3, not 1\)\); give", error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
