"""Which cases of two runs ``compare`` pairs, which it calls lost, and what ratios are to."""

import dataclasses
import shutil
from pathlib import Path

import pandas as pd
import pytest

from suites.settings.cells import Cell
from suites.two_runs.matching import SETTINGS

from .folders import cells, compared, drop_arm, edit, edit_json, refused, rows, slow_down


def rename_cell(run: Path, cell: Path, **settings: object) -> None:
    """A cell of other settings, whose id is another one therefore."""
    new = cell.with_name(f"{cell.name[:-8]}{'0' * 8}")
    shutil.move(cell, new)
    edit_json(new / "cell.json", lambda content: content.update(settings))
    text = (run / "run.json").read_text().replace(cell.name, new.name)
    (run / "run.json").write_text(text)


def test_other_settings_are_refused(run_dir, twin, capsys):
    for cell, length in zip(cells(twin), (16, 17), strict=True):
        rename_cell(twin, cell, tgt_len=length)
    error = refused(capsys, run_dir, twin)
    assert "the runs share no case (tgt_len 6/7 and 16/17)" in error


def test_other_sources_of_equal_lengths_are_told_by_name(run_dir, twin, tmp_path, capsys):
    first, second = cells(twin)
    rename_cell(twin, first, src_ids=[[5, 6, 7, 8, 9, 10]])
    code, text = compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert code == 0
    assert "3 cases differ in src_ids and are not compared" in text
    assert set(rows(tmp_path / "out")["cell"]) == {second.name}
    rename_cell(twin, second, src_ids=[[5, 6, 7, 8, 9, 10, 11]])
    assert "the runs share no case (differing in src_ids" in refused(capsys, run_dir, twin)


def test_settings_are_those_that_the_id_of_a_cell_is_a_hash_of():
    assert {"model", *SETTINGS} == {field.name for field in dataclasses.fields(Cell)}


def test_a_case_that_fails_now_is_worse(tables, tmp_path, capsys):
    edit(tables[1], "status", "static_kv", lambda _: "failed")
    for strategy in ("full_recompute", "cross_kv", "static_kv"):
        edit(tables[1], "best_strategy", strategy, lambda _: "full_recompute")
    for name in ("steps.csv", "roles.csv"):
        lines = (tables[1] / name).read_text().splitlines(keepends=True)
        (tables[1] / name).write_text("".join(line for line in lines if ",static_kv," not in line))
    code, text = compared(capsys, *tables, "--dir", tmp_path / "out")
    assert code == 1
    assert text.startswith("The second run is worse: static_kv ok -> failed (2 cases).")
    assert "static_kv ok failed failed !" in text


def test_a_cell_that_was_planned_and_is_lost_is_worse(run_dir, twin, tmp_path, capsys):
    edit_json(twin / "run.json", lambda run: run.update(command="python -m suites run another"))
    shutil.rmtree(cells(twin)[0])
    code, text = compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert code == 1
    assert "worse: full_recompute ok -> missing; cross_kv ok -> missing; static_kv ok -> missing." in text
    found = rows(tmp_path / "out", figure="status")
    assert found["verdict"].tolist() == ["ok -> missing"] * 3
    assert found["gate"].tolist() == ["yes"] * 3
    data = compared(capsys, run_dir, twin, "--format", "json", "--dir", tmp_path / "out")[1]
    assert data.count("ok -> missing") > 3


def test_every_cell_lost_is_worse_and_not_refused(run_dir, twin, tmp_path, capsys):
    for cell in cells(twin):
        shutil.rmtree(cell)
    table = pd.read_csv(twin / "table.csv")
    table[:0].to_csv(twin / "table.csv", index=False)
    assert compared(capsys, run_dir, twin, "--dir", tmp_path / "out")[0] == 1


@pytest.mark.parametrize(("command", "code"), [("the same", 1), ("python -m suites run seq_len=7", 0)])
def test_a_cell_that_was_never_planned_is_a_note_unless_the_sweep_is_the_same(
    run_dir, twin, tmp_path, capsys, command, code
):
    gone = cells(twin)[0]
    shutil.rmtree(gone)

    def smaller(run) -> None:
        run["plan"] = [entry for entry in run["plan"] if entry["id"] != gone.name]
        if code == 0:
            run["command"] = command

    edit_json(twin / "run.json", smaller)
    for form in ("table", "md", "json"):
        found, text = compared(capsys, run_dir, twin, "--format", form, "--dir", tmp_path / "out")
        assert found == code
        assert ("3 cases are in" in text and "alone, not planned in" in text) == (code == 0)
    assert compared(capsys, twin, run_dir, "--dir", tmp_path / "out")[0] == 0


@pytest.mark.parametrize(("asked", "code"), [("strategies=[full_recompute,cross_kv]", 0), (None, 1)])
def test_a_strategy_that_is_gone_is_worse_unless_fewer_were_asked_for(run_dir, twin, tmp_path, capsys, asked, code):
    drop_arm(twin, "static_kv")

    def fewer(run) -> None:
        run["command"] = "python -m suites run another"
        for entry in run["plan"]:
            if asked:
                entry["overrides"] = [*(x for x in entry["overrides"] if not x.startswith("strategies=")), asked]

    edit_json(twin / "run.json", fewer)
    assert compared(capsys, run_dir, twin, "--dir", tmp_path / "out")[0] == code
    assert set(rows(tmp_path / "out", figure="status")["strategy"]) == ({"static_kv"} if code else set())


def test_ratios_are_to_another_strategy_where_the_baselines_differ(run_dir, twin, tmp_path, capsys):
    drop_arm(twin, "full_recompute")
    edit_json(twin / "run.json", lambda run: run.update(command="other", plan=[{"id": x["id"]} for x in run["plan"]]))
    slow_down(twin, 1e6, "static_kv")
    code, text = compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert code == 1
    assert "baselines differ (full_recompute and cross_kv): ratios to cross_kv, of the raw rounds (2 cells)" in text
    assert "2 ratios were judged" in text
    assert "speedup over cross_kv" in text
    found = rows(tmp_path / "out", kind="ratio")
    assert found["baseline"].tolist() == ["cross_kv"] * 2
    assert found["change"].tolist() == pytest.approx([1e6] * 2)


def test_without_a_common_baseline_it_is_refused(run_dir, twin, tmp_path, capsys):
    for strategy in ("full_recompute", "cross_kv"):
        drop_arm(twin, strategy)
    edit_json(twin / "run.json", lambda run: run.update(command="other", plan=[{"id": x["id"]} for x in run["plan"]]))
    assert "baselines differ (full_recompute and static_kv)" in refused(capsys, run_dir, twin)


def test_ratios_are_of_the_raw_rounds_and_not_of_a_stale_table(run_dir, twin, tmp_path, capsys):
    slow_down(twin, 3.0, "static_kv")
    edit(twin, "executed_flops", "static_kv", lambda text: float(text) + 4)
    compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert rows(tmp_path / "out", kind="ratio", strategy="static_kv")["change"].tolist() == pytest.approx([3.0] * 2)
    assert set(rows(tmp_path / "out", kind="deterministic")["verdict"]) == {"same"}


def test_a_cell_whose_rounds_were_cut_off_is_refused_and_not_passed(run_dir, twin, capsys):
    (cells(twin)[0] / "rounds.jsonl").write_text("")
    assert "rounds.jsonl holds no round of full_recompute, which was measured" in refused(capsys, run_dir, twin)
