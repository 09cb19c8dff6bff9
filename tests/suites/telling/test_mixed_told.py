"""The warnings of a run whose cells were measured on several kinds of hardware, or with several versions."""

import dataclasses
import json

from suites.__main__ import main
from suites.judging.noise import told
from suites.reporting.run import write_report
from suites.store.cell_folder import CellWriter, read_cells
from suites.store.files import write_json
from suites.store.records import ArmResult, Calibration, Round
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.telling.mixed_told import mixed_told
from suites.verbs.collected import collect

from ..tables.test_case_table import CELL, FORMULAS, STEPS

BASE, KEPT = "full_recompute", "static_kv"


def write_run(folder, *environments):
    """A run of a cell for each environment, all of one length and batch 1, 2 and so on.

    static_kv takes half the time of full recompute in every second cell, beginning with the first, else twice the time.
    """
    names = [f"c{number}" for number in range(len(environments))]
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": name} for name in names]})
    write_json(folder / "environment.json", {"cpu": "Login CPU"})
    for number, (name, environment) in enumerate(zip(names, environments, strict=True)):
        writer = CellWriter(folder, name)
        formulas = dict.fromkeys((BASE, KEPT), FORMULAS)
        writer.cell({**CELL, "batch_size": number + 1, "formulas": formulas})
        if environment is not None:
            writer.environment(environment)
        for index in range(6):
            speed = {BASE: 1.0, KEPT: 2.0 if number % 2 else 0.5}
            for label, scale in speed.items():
                marks_s = [scale * mark * (1 + index / 1000) for mark in (0.0, 1.0, 1.5, 1.75, 3.0)]
                writer.round(Round(label, index, False, True, marks_s))
            writer.round(Calibration(index, False, 2e9 if number % 2 else 1e9, 1e9))
        lens = [STEPS] * (number + 1)
        writer.arms([ArmResult(label, "ok", steps=STEPS, row_lens=lens, necessary_flops=50) for label in speed])
    return folder


def warnings(folder):
    cells = read_cells(folder)
    return mixed_told(cells, case_table(cells))


def test_cells_on_two_kinds_of_cpu_are_warned_of_ranked_drawn_and_told_apart(tmp_path, capsys):
    run = write_run(tmp_path / "run", *({"cpu": cpu, "node": f"n{n}"} for n, cpu in enumerate("ABAB")))
    assert collect(run, report=False) == 0
    printed = " ".join(capsys.readouterr().out.split())
    line = (
        "cells ran on 2 kinds of CPU (A: 2 cells, B: 2 cells); compare times only within one; to have one kind, "
        "measure all on one machine"
    )
    assert f"warning: {line}" in printed
    assert json.loads((run / "noise.json").read_text())[0] == line
    assert f"At batch 3, 4 -> {STEPS} on A, use static_kv: 2x faster" in printed
    assert f"At batch 4, 4 -> {STEPS} on B, use full_recompute" in printed
    for kind in "AB":
        assert f"m on cpu, 1 thread, {kind}, fp32" in printed
        assert (run / "plots" / f"totals_{kind}.png").exists()
        assert f" · {kind}<" in (run / "plots" / f"totals_{kind}.svg").read_text()
    assert not (run / "plots" / "totals.png").exists()
    page = write_report(run).read_text()
    assert page.count("cells ran on 2 kinds of CPU") == page.partition('id="content"')[0].count(line) == 1
    assert "A: 2 cells, B: 2 cells" in page.partition("CPU that measured cells")[2]
    assert main(["report", str(run)]) == 0


def test_what_gives_one_kind_from_slurm_is_told_where_slurm_measured(tmp_path, capsys):
    run = write_run(tmp_path / "run", {"cpu": "A"}, {"cpu": "B"})
    entry = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", entry | {"cluster": {"kind": "slurm"}, "plots": False})
    collect(run, plots=False, report=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert "to have one kind from Slurm, give cluster.constraint or cluster.partition" in printed


def test_a_machine_that_is_another_one_does_not_drift(tmp_path):
    assert told(read_cells(write_run(tmp_path / "two", {"cpu": "A"}, {"cpu": "B"}))) == []
    (line,) = told(read_cells(write_run(tmp_path / "one", {"cpu": "A", "node": "n1"}, {"cpu": "A", "node": "n2"})))
    assert line.startswith("the machine read memory 2.00 times as fast")


def test_nodes_of_one_kind_and_one_version_are_no_reason_for_a_warning(tmp_path):
    same = {"cpu": "A", "versions": {"torch": "2", "decodebench": "1"}, "commit": "c"}
    assert warnings(write_run(tmp_path / "nodes", same | {"node": "n1"}, same | {"node": "n2"})) == []
    assert warnings(write_run(tmp_path / "old", None, None)) == []
    assert warnings(write_run(tmp_path / "unknown", {"cpu": ""}, {"cpu": "A"}, {"commit": None})) == []


def test_versions_that_differ_between_cells_are_named_with_their_cells(tmp_path):
    cells = [
        {"versions": {"torch": torch, "decodebench": "1"}, "commit": commit}
        for torch, commit in (("2.12", "a" * 40), ("2.13", "a" * 40), ("2.13", "b" * 40))
    ]
    assert warnings(write_run(tmp_path / "run", *cells)) == [
        "cells ran with 2 versions of torch (2.12: 1 cell, 2.13: 2 cells); compare times only within one, or run again "
        "with one",
        f"cells ran with 2 commits ({'a' * 10}: 2 cells, {'b' * 10}: 1 cell); compare times only within one, or run "
        "again with one",
    ]


def test_many_long_names_leave_the_warning_short(tmp_path):
    names = [f"{'CPU ' * 60}{n}" for n in range(9)]
    (line,) = warnings(write_run(tmp_path / "run", *({"cpu": name} for name in names)))
    assert "on 9 kinds of CPU" in line
    assert "5 more)" in line
    assert len(line) < 500


def test_a_cell_that_was_not_measured_counts_as_no_kind(tmp_path):
    cells = read_cells(write_run(tmp_path / "run", {"cpu": "A"}, {"cpu": "B"}))
    failed = dataclasses.replace(cells[1], arms=[ArmResult(BASE, "failed", "lost")], rounds=[])
    kept = [cells[0], failed]
    assert mixed_told(kept, case_table(kept)) == []
