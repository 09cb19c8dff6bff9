"""docs/columns.md names exactly what a run writes: each column and key of each file, metrics with unit and formula."""

import dataclasses
import json
import re

import pandas as pd
import pytest

from strategies.models.kernels.packing import Choice
from strategies.search.options import SEARCHES
from suites.measuring.narrowing import Narrowing
from suites.metrics import metrics
from suites.settings.features import FeatureFile
from suites.store.cell_entries import CellEntry
from suites.store.environment_entries import GpuEntry
from suites.store.records import ArmResult, Calibration, Conditions, Round
from suites.work.formulas import Formulas
from tests.command import ROOT, SMALL_MODEL, suites

TEXT = (ROOT / "docs" / "columns.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
LABELLED = {"formulas", "capacity", "necessary"}
"""Objects whose keys are labels of strategies or contenders."""
LEAVES = {"versions", "kernels", "roles.prefill_flops", "roles.decode_flops", "roles.decode_bytes"}
"""Objects whose keys are names of packages, kernels and modules: the page names the object alone."""
ALONE = {"narrowing_compiled", "narrowing_reason", "fp32_reason", "judged_by", "search_ties", "moved_share",
         "phoneme_error", "phoneme_error_words", "phoneme_error_phrase", "phoneme_error_reason"}  # fmt: skip
ELSEWHERE = {*ALONE, "isolated", "isolated.why", "isolated.begun_s"}
"""Of cell.json, beside other settings than those of the run here: compiled steps, no room for the whole weights or for
a float32 decoder, beam search, approximate strategies, and a process of its own."""


def rows(section):
    """Of each entry of a section, by its name: (unit, meaning and the rest, where it is empty or "")."""
    found = {}
    for name, unit, text in re.findall(r"^- `([^`]+)` \(([^)]+)\): (.*?)(?=^- |^#|\n\n|\Z)", section, re.M | re.DOTALL):
        assert name not in found, f"{name} is named twice"
        meaning, _, empty = " ".join(text.split()).partition(" Empty: ")
        found[name] = (unit, meaning, empty)
    return found


def paths(content, at=""):
    """Every key as a path: ``.`` within an object, ``[]`` within a list, LABEL where a label is the key."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        inside = {path for item in content for path in paths(item, f"{at}[]." if at else "")}
        return {at} - {""} | inside
    if not isinstance(content, dict) or at.rstrip(".") in LEAVES:
        return {at.rstrip(".")}
    found = set()
    for key, value in content.items():
        step = "LABEL" if at.rstrip(".") in LABELLED else key
        nested = isinstance(value, dict) and f"{at}{step}" not in LEAVES
        found |= paths(value, f"{at}{step}." if nested else f"{at}{step}")
    return found | {at.rstrip(".")} - {""}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run of narrower weights, so that what is written of them is there, too."""
    folder = tmp_path_factory.mktemp("runs")
    chosen = "strategies=[full_recompute,static_kv]"
    suites(
        "run", *SMALL_MODEL, "seq_len=3", "measure=quick", "weights=bf16", chosen, "hydra.run.dir=a",
        folder=folder, check=True,
    )  # fmt: skip
    return folder / "a"


def innermost(names):
    """Those that are no object or list whose inside is named, too."""
    return {name for name in names if not any(other.startswith((f"{name}.", f"{name}[]")) for other in names)}


def same_names(name, expected):
    """The names of a section are the ``expected`` ones; whether it names an object besides what is in it is free."""
    assert innermost(rows(SECTIONS[name])) == innermost(expected)


@pytest.mark.parametrize("name", ["table", "steps", "roles"])
def test_the_columns_of_a_table_are_those_of_the_page_in_its_order(name, run_dir):
    columns = list(pd.read_csv(run_dir / f"{name}.csv", nrows=0))
    assert list(rows(SECTIONS[f"{name}.csv"])) == columns


def test_metrics_have_the_unit_and_the_formula_that_the_code_gives_them():
    told = rows(SECTIONS["table.csv"])
    for metric in metrics().values():
        unit, meaning, _ = told[metric.name]
        assert unit == metric.unit
        assert meaning.startswith(f"{metric.formula}. ")


def test_every_entry_of_the_page_is_read():
    entries = re.findall(r"^- `", TEXT, re.MULTILINE)
    assert sum(len(rows(section)) for section in SECTIONS.values()) == len(entries)


def test_the_keys_of_a_run_and_of_its_machine_are_those_of_the_page(run_dir):
    same_names("run.json", paths(json.loads((run_dir / "run.json").read_text())))
    machine = paths(json.loads((run_dir / "environment.json").read_text()))
    same_names("environment.json", machine | {f"gpu.{key}" for key in GpuEntry.__annotations__})


def test_the_keys_of_a_cell_are_those_of_the_page(run_dir):
    (folder,) = (run_dir / "cells").iterdir()
    found = paths(json.loads((folder / "cell.json").read_text()))
    assert {f"formulas.LABEL.{field.name}" for field in dataclasses.fields(Formulas)} <= found
    assert {f"narrowing.{field.name}" for field in dataclasses.fields(Narrowing)} <= found
    assert set(CellEntry.__annotations__) >= ALONE
    choices = {f"linear_choices[].{field.name}" for field in dataclasses.fields(Choice)}
    searches = {f"search.{field.name}" for search in SEARCHES.values() for field in dataclasses.fields(search)}
    features = {f"src_features.{field.name}" for field in dataclasses.fields(FeatureFile)}
    same_names("cell.json", found | choices | searches | features | ELSEWHERE)


def test_the_keys_of_arms_rounds_calibrations_and_conditions_are_those_of_the_page(run_dir):
    (folder,) = (run_dir / "cells").iterdir()
    same_names("arms.json", paths(json.loads((folder / "arms.json").read_text())))
    same_names("conditions.json", paths(json.loads((folder / "conditions.json").read_text())))
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    of_machine = [line for line in lines if "kind" in line]
    same_names("rounds.jsonl: a calibration", paths(of_machine))
    same_names("rounds.jsonl: a round", paths([line for line in lines if "kind" not in line]))


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("arms.json", ArmResult),
        ("conditions.json", Conditions),
        ("rounds.jsonl: a round", Round),
        ("rounds.jsonl: a calibration", Calibration),
    ],
)
def test_a_record_may_be_null_only_where_the_page_says_when_it_is_empty(name, record):
    told = rows(SECTIONS[name])
    for field in dataclasses.fields(record):
        if "None" in str(field.type):
            assert told[field.name][2], field.name
