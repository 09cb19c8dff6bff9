"""The columns of a case's node, CPU and GPU, also in folders of versions that did not write them."""

import dataclasses

import pandas as pd
import pytest

from suites import load
from suites.store.files import ResultsError, write_json
from suites.store.hardware import HARDWARE, hardware_of
from suites.tables.case_table import case_table
from suites.tables.table_files import read_tables, write_tables
from tests.command import ROOT

from .test_case_table import a_round, ok, result

LONG = "Intel(R) Xeon(R) Platinum 8481C CPU with a very long name" + " and more" * 20


def cell(name, environment, **settings):
    found = dataclasses.replace(result([ok()], [a_round()], **settings), id=name)
    return dataclasses.replace(found, environment=environment)


@pytest.mark.parametrize(
    ("environment", "device", "named"),
    [
        ({"node": "n1", "cpu": "A  CPU\n@ 2 GHz ", "gpu": {"name": "G"}}, "cuda", ["n1", "A CPU @ 2 GHz", "G"]),
        ({"node": "n1", "cpu": LONG, "gpu": {"name": "G"}}, "cpu", ["n1", LONG, ""]),
        ({"cpu": None, "gpu": None}, "cuda", ["", "", ""]),
        ({"cpu": "\x1b[2J", "gpu": {}}, "cuda", ["", "\\x1b[2J", ""]),
        ({}, "cpu", ["", "", ""]),
    ],
)
def test_hardware_is_named_by_what_a_cell_wrote_down(environment, device, named):
    assert list(hardware_of(environment, device).values()) == named


def test_each_case_has_the_hardware_of_its_own_cell_and_one_that_was_never_begun_has_none():
    lost = dataclasses.replace(cell("b", None, src_len=5), rounds=[])
    cells = [cell("a", {"node": "n1", "cpu": "A"}), lost, cell("c", {"cpu": "C"}, src_len=6)]
    table = case_table(cells, environment={"node": "login", "cpu": "L"})
    assert table[HARDWARE].to_numpy().tolist() == [["n1", "A", ""], ["", "", ""], ["", "C", ""]]


def test_a_cell_that_an_earlier_version_measured_has_that_of_the_run():
    table = case_table([cell("a", None), cell("b", {"cpu": "A"}, src_len=5)], environment={"cpu": "R"})
    assert table["cpu"].tolist() == ["R", "A"]


def test_where_no_cell_says_it_the_run_does(tmp_path):
    write_json(tmp_path / "environment.json", {"cpu": "A", "gpu": {"name": "=G"}})
    written, _ = write_tables(tmp_path, [cell("a", None), cell("b", None, device="cuda")])
    assert written[HARDWARE].to_numpy().tolist() == [["", "A", ""], ["", "A", "=G"]]
    assert read_tables(tmp_path)[0][HARDWARE].equals(written[HARDWARE])


def test_a_table_of_an_earlier_version_gets_it_from_the_run(tmp_path):
    cells = [cell("a", None), cell("b", None, device="cuda")]
    now, _ = write_tables(tmp_path, cells)
    pd.read_csv(tmp_path / "table.csv").drop(columns=HARDWARE).to_csv(tmp_path / "table.csv", index=False)
    assert read_tables(tmp_path)[0][HARDWARE].to_numpy().tolist() == [["", "", ""], ["", "", ""]]
    write_json(tmp_path / "environment.json", {"cpu": "A", "gpu": {"name": "G"}})
    table = read_tables(tmp_path)[0]
    assert list(table) == list(now)
    assert table[HARDWARE].to_numpy().tolist() == [["", "A", ""], ["", "A", "G"]]


def test_a_table_that_gives_one_cell_two_machines_is_refused(tmp_path):
    write_tables(tmp_path, [dataclasses.replace(result([ok(), ok("x")], [a_round(), a_round("x")]), environment={})])
    table = pd.read_csv(tmp_path / "table.csv", keep_default_na=False)
    table.assign(cpu=["A", "B"]).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(ResultsError, match="one cell with two different settings"):
        read_tables(tmp_path)


def test_the_reference_runs_say_their_hardware():
    cuda = load(ROOT / "results" / "reference" / "cuda")
    assert {*cuda["gpu"]} == {"NVIDIA H100 80GB HBM3"}
    assert {*load(ROOT / "results" / "reference" / "cpu")["gpu"]} == {""}
