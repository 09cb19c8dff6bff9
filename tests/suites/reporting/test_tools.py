"""The tools of a page as data and as a page of their own: whole, and left out where a folder does not say the sizes."""

import re
from dataclasses import replace

import pytest

from strategies import ModelConfig, parse
from suites.reporting.ledger import beams_of, ledger_of
from suites.reporting.run import write_report
from suites.reporting.standalone import MODELS, write_tools
from suites.reporting.tools import cell_of_config, model_data, tools_of_cell

from .folders import MODEL, run_folder
from .page import Page

CONFIG = ModelConfig(vocab_size=101, d_model=24, num_heads=4, d_kv=6, d_ff=48, encoder_layers=2, decoder_layers=3)
ROW = {"model": "m", "device": "cpu", "batch_size": 8, "src_len": 9, "tgt_len": 12, "dtype": "bf16", "weights": ""}


def test_a_page_of_its_own_names_every_model_and_runs_its_own_script_alone(tmp_path):
    read = Page(write_tools(tmp_path / "tools.html").read_text("utf-8"))
    data = read.data("tools")
    assert len(data["models"]) == len(MODELS)
    assert re.findall("script-src 'sha256-", read.meta["Content-Security-Policy"])
    assert "http" not in read.meta["Content-Security-Policy"]
    assert read.links == []


def test_a_run_starts_with_its_own_case_baseline_and_memory(tmp_path):
    read = Page(write_report(run_folder(tmp_path, "sweep")).read_text("utf-8"))
    (model,) = read.data("tools")["models"]
    assert model["start"] == {"B": 1, "S": 128, "N": 128, "k": 42}
    assert model["sides"][0] == "full_recompute"
    assert model["sides"][1] != "full_recompute"
    assert {"#step", "#fits"} <= set(read.links)


@pytest.mark.parametrize(
    "config",
    ["", "model: {name: other, source: pronounce}", "model: {name: m, source: checkpoint}", "model: [", "model: 3",
     "model: {name: m, source: random, d_model: -1}"],
)  # fmt: skip
def test_a_folder_that_does_not_say_the_sizes_has_a_page_without_tools(config, tmp_path):
    folder = run_folder(tmp_path, "sweep")
    (folder / "config.yaml").write_text(config)
    assert cell_of_config(folder, ROW) == {}
    read = Page(write_report(folder).read_text("utf-8"))
    assert "#step" not in read.links
    assert "tools" not in read.ids


def test_the_slider_ends_where_the_ledger_lists_no_more_length_buckets(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.ledger.exported.LONGEST", 64)
    page = write_tools(tmp_path / "tools.html").read_text("utf-8")
    assert re.findall(r'data-set="[BSN]" min="1" max="(64|4096)"', page) == ["64"] * 3
    assert model_data("m", "m", CONFIG, [], {"B": 1, "S": 10_000, "N": 1})["start"]["S"] == 64


def test_config_yaml_stands_in_for_a_cell_that_is_not_kept(tmp_path):
    (tmp_path / "config.yaml").write_text(MODEL)
    cell = cell_of_config(tmp_path, ROW)
    data = tools_of_cell(cell, ["static_kv", "a contender"], ["full_recompute", "static_kv"])
    assert data["sides"] == ["full_recompute", "static_kv"]
    assert data["memory"]["dtype"] == "bf16"
    assert data["layer"]["strategies"][0]["label"] == "static_kv"


def test_a_cell_of_beams_has_tools_and_a_ledger_of_beams(tmp_path):
    (tmp_path / "config.yaml").write_text(MODEL)
    greedy, beams = (cell_of_config(tmp_path, ROW | given) for given in ({}, {"search": "beam", "num_beams": 4}))
    labels = ["full_recompute", "contiguous_kv(cross_beams=expanded)", "static_kv(reorder=table)"]
    found = tools_of_cell(beams, labels, labels[:2])
    assert found["layer"]["sizes"]["W"] == 4
    assert [one["beams"]["table"] for one in found["layer"]["strategies"]][:3] == [False, False, True]
    assert found["memory"]["formulas"] != tools_of_cell(greedy, labels, labels[:2])["memory"]["formulas"]
    ledger = ledger_of(beams, labels)
    assert ledger.place == "batch 8, 4 beams, 9 -> 12, at k = 4"
    assert "W beams 4" in ledger.legend
    assert "self.gather" in [row[0] for row in ledger.sheets[0].rows]
    assert ledger_of(greedy, ["static_kv"]).place == "batch 8, 9 -> 12, at k = 4"


@pytest.mark.parametrize("search", [None, {"kind": "greedy"}, {"kind": "sample", "temperature": 1.0}])
def test_a_cell_without_beams_has_one_row_per_sentence(search):
    assert beams_of({"search": search}) == beams_of({}) == 1
    assert beams_of({"search": {"kind": "beam", "num_beams": 5}}) == 5


def test_lengths_beyond_what_the_slider_shows_are_cut_and_one_strategy_is_shown_on_both_sides():
    data = model_data("m", "m", CONFIG, [parse("static_kv")], {"B": 1, "S": 10_000, "N": 1})
    assert data["start"] == {"B": 1, "S": 4096, "N": 1, "k": 1}
    assert data["sides"] == ["static_kv", "static_kv"]


@pytest.mark.parametrize(("free", "k"), [(60, 21), (2, 4)])
def test_the_slider_begins_at_the_last_forced_token(free, k):
    config = replace(CONFIG, prefix_ids=(5, 6, 7))
    data = model_data("m", "m", config, [parse("static_kv")], {"B": 1, "S": 9, "N": free})
    assert (data["first"], data["start"]["k"]) == (4, k)
