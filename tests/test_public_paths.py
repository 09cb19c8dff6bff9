"""Import paths that README and docs show to authors: they stay, wherever the code behind them goes."""

import importlib
import re

import pytest

from tests.command import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
IMPORTS = re.compile(r"^\s*from ((?:strategies|suites)[\w.]*) import ([\w, ]+)", re.MULTILINE)
SHOWN = re.compile(r"auto(?:function|class|module|method|data|exception):: ((?:strategies|suites)[\w.]+)")
ALWAYS = {
    ("suites.budgets", "count"),
    ("suites.budgets", "guard"),
    ("suites.budgets", "rewrite"),
    ("suites.pairs", "time_ratio"),
    ("suites.verdict", "verdict"),
    ("suites.metrics.metric", "metric"),
    ("suites.metrics.metric", "Case"),
    ("suites.metrics.metric", "TimedRound"),
    ("suites.contenders.contender", "register"),
    ("suites.contenders.contender", "Contender"),
    ("suites.contenders.contender", "Decoded"),
    ("strategies", "Strategy"),
    ("strategies", "Session"),
    ("strategies", "register"),
    ("strategies.models.stores", "CachedCross"),
    ("strategies.models.pronounce.evaluate", "main"),
}
"""What authors of files outside this project may already import."""


def shown():
    found = set(ALWAYS)
    for page in PAGES:
        text = page.read_text()
        for module, names in IMPORTS.findall(text):
            found |= {(module, name.split(" as ")[0].strip()) for name in names.split(",") if name.strip()}
        found |= {tuple(path.rsplit(".", 1)) for path in SHOWN.findall(text)}
    return sorted(found)


@pytest.mark.parametrize(("module", "name"), shown())
def test_what_is_shown_is_imported(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_the_pages_were_read():
    assert {("strategies", "greedy"), ("suites.metrics", "Case"), ("suites.contenders", "Decoded")} <= set(shown())
