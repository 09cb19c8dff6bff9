"""docs/glossary.md: each word once, the names that it points to are there, and it is found from where people read."""

import re

import pandas as pd
import pytest

from suites.metrics import metrics
from suites.plots import FIGURES
from suites.reporting.run import write_report
from suites.settings.config import known_keys
from suites.tables.columns import completed
from tests.command import ROOT

from .suites.reporting.folders import run_folder
from .suites.reporting.page import Page

TEXT = (ROOT / "docs" / "glossary.md").read_text()
ENTRIES = dict(re.findall(r"^### (.+?)\n\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL))
COLUMNS = set(completed(pd.DataFrame()).columns)
NAMED = {"steps.csv": {"k"}, "roles.csv": {"role"}, "rounds.jsonl": {"marks_s", "warmup"}, "run": {*known_keys()}}
"""Columns and keys of other files than table.csv that entries name."""
WORDS = """
    Run, Cell, Case, Arm, Round, Mark, Step, Prefill, Facts, Executed FLOPs, Necessary FLOPs, Waste, Ceiling,
    Floor, Baseline, Oracle, Verdict, Execution, Role, Contender, A/A, Noise floor, Calibration, Conditions,
    Crossover, Dispatch, Bucket, MBU, MFU, Arithmetic intensity, TTFT, ITL, K/V bytes reserved, K/V bytes used,
    Peak memory, Holm, Margin, Cache-resident, Capacity
"""


def test_each_word_has_one_entry():
    titles = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)
    assert len(titles) == len(set(map(str.lower, titles))) == len(ENTRIES)
    assert {" ".join(word.split()) for word in WORDS.split(",")} <= set(titles)


@pytest.mark.parametrize("word", ENTRIES)
def test_an_entry_says_where_the_word_appears_and_what_it_names_is_there(word):
    definition, found, where = " ".join(ENTRIES[word].split()).partition("*In*")
    assert definition
    assert found
    for columns in re.findall(r"columns? ((?:`\w+`(?:, | and |))+)", where):
        for name in re.findall(r"`(\w+)`", columns):
            assert name in COLUMNS | NAMED["steps.csv"] | NAMED["roles.csv"], name
    for name in re.findall(r"key `(\w+)`", where):
        assert name in NAMED["rounds.jsonl"] | NAMED["run"] | {"capacity"}, name
    for name in re.findall(r"plot `(\w+)`", where):
        assert name in {figure.__name__.rpartition(".")[2] for figure in FIGURES}, name


def test_every_metric_that_is_an_abbreviation_has_an_entry():
    short = {name.removesuffix("_s") for name in metrics()} & {"ttft", "itl", "tpot", "mbu", "mfu"}
    assert {word.upper() for word in short} <= set(ENTRIES)


@pytest.mark.parametrize(
    ("page", "link"),
    [("README.md", "docs/"), ("CONTRIBUTING.md", "docs/"), ("docs/index.md", ""), ("docs/columns.md", "")],
)
def test_it_is_linked_from_where_people_begin(page, link):
    assert f"({link}glossary.md)" in (ROOT / page).read_text()


def test_the_report_of_a_run_names_it(tmp_path):
    page = Page(write_report(run_folder(tmp_path, "one row")).read_text("utf-8"))
    for name in ("docs/glossary.md", "docs/columns.md"):
        assert name in page.text
        assert (ROOT / name).exists()
