"""The words of a comparison follow from its rows: the verdict first, and no sentence that the rows contradict."""

import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.judging.ratios import Ratio
from suites.two_runs.cases import cases
from suites.two_runs.conclusion import change_in_words, conclusion, headline
from suites.two_runs.figures import COLUMNS
from suites.two_runs.quotients import verdicts

MARGIN = 0.05
CASE = {"cell": "c", "model": "tiny", "batch_size": 1, "src_len": 8, "tgt_len": 8, "device": "cpu", "dtype": "fp32"}


def ratio(change: float, half: float, verdict: str, strategy: str = "static_kv", **more: object) -> dict[str, object]:
    ends = {"change": change, "change_low": change / half, "change_high": change * half}
    gate = "yes" if verdict == "slower" else ""
    row = {"figure": "e2e_ratio", "kind": "ratio", "baseline": "full_recompute", "a": 0.5, "b": 0.5 * change}
    return {**CASE, "strategy": strategy, **row, **ends, "verdict": verdict, "gate": gate, "margin": MARGIN, **more}


def exact(figure: str, a: float, b: float, **more: object) -> dict[str, object]:
    word, gate = ("same", "") if a == b else ("grew", "yes") if b > a else ("shrank", "")
    row = {"figure": figure, "kind": "deterministic", "a": a, "b": b, "change": b / a, "verdict": word, "gate": gate}
    return {**CASE, "strategy": "static_kv", **row, **more}


def found(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([ratio(1.3, 1.1, "slower")], "The second run is worse: static_kv is 1.3x slower relative to full_recompute."),
        ([ratio(1.0, 1.02, "indistinguishable")], "The second run is not worse beyond the margin of 5 %."),
        ([ratio(0.8, 1.1, "faster")], "The second run is not worse beyond the margin of 5 %."),
        ([exact("step_bytes", 4, 4)], "The second run is not worse."),
        ([exact("step_bytes", 4, 5)], "The second run is worse: step_bytes of static_kv grew by 25 %."),
        (
            [ratio(1.0, 1.3, "undecided")],
            "Cannot tell: interval ±30 %, margin 5 %. Nothing is worse with confidence.",
        ),
        (
            [ratio(1.0, 1.3, "undecided"), ratio(1.0, 1.1, "undecided", "cross_kv")],
            "Cannot tell: intervals up to ±30 %, margin 5 %. Nothing is worse with confidence.",
        ),
        (
            [ratio(1.0, 1.3, "undecided"), ratio(0.8, 1.1, "faster", "cross_kv")],
            "Cannot tell: 1 of 2 ratios: interval ±30 %, margin 5 %. Nothing is worse with confidence.",
        ),
        (
            [ratio(1.2, 1.1, "undecided"), ratio(0.8, 1.1, "faster", "cross_kv")],
            "Cannot tell: 1 of 2 ratios is probably slower, which is not certain. Nothing is worse with confidence.",
        ),
        ([ratio(0.9, 1.08, "undecided")], "The second run is not worse beyond the margin of 5 %."),
        (
            [ratio(1.0, math.nan, "undecided")],
            "Cannot tell: fewer than two rounds. Nothing is worse with confidence.",
        ),
    ],
)
def test_the_headline_is_the_verdict(rows, told):
    assert headline(found(*rows)) == told
    assert conclusion(found(*rows)).startswith(told)


def test_what_is_worse_is_named_once_for_all_cases_with_the_worst_of_them():
    rows = [ratio(1.2, 1.1, "slower"), ratio(1.5, 1.1, "slower", cell="d"), exact("step_bytes", 4, 5)]
    told = headline(found(*rows))
    assert "static_kv is 1.5x slower relative to full_recompute (the worst of 2 cases); step_bytes" in told


@pytest.mark.parametrize("change", [0.5, 1.0, 1.04, 2.0])
@pytest.mark.parametrize("half", [1.01, 1.2])
@pytest.mark.parametrize("verdict", ["faster", "slower", "indistinguishable", "undecided"])
def test_no_words_of_a_change_are_stronger_than_its_verdict(change, half, verdict):
    told = change_in_words(ratio(change, half, verdict))
    certain = verdict in ("faster", "slower")
    assert bool(re.match(r"[\d.]+x (faster|slower) \[", told)) == certain
    assert ("probably" in told or "cannot tell" in told) == (verdict == "undecided")


@given(
    st.lists(st.tuples(st.floats(0.3, 3.0), st.floats(1.001, 2.0), st.floats(0, 1)), min_size=1, max_size=6),
    st.lists(st.sampled_from([(4, 4), (4, 5), (5, 4)]), max_size=3),
)
def test_the_headline_never_contradicts_a_row(changes, figures):
    ratios = [Ratio(value, value / half, value * half, 6, p) for value, half, p in changes]
    rows = [
        ratio(one.value, one.high / one.value, word, f"s{number}", p_holm=p)
        for number, (one, (p, word)) in enumerate(zip(ratios, verdicts(ratios, MARGIN), strict=True))
    ]
    rows += [exact(f"figure_{number}", *ab) for number, ab in enumerate(figures)]
    table, told = found(*rows), headline(found(*rows))
    assert told.startswith("The second run is worse") == (table["gate"] == "yes").any()
    if told.startswith("The second run is not worse"):
        assert (table.loc[table["verdict"] == "undecided", "change_high"] <= 1 + MARGIN).all()
    if told.startswith("Cannot tell"):
        assert (table["verdict"] == "undecided").any()
    lines = [line for case in cases(table) for line in case.lines]
    assert sum(line.worse for line in lines) == (table["gate"] == "yes").sum()


def test_cases_come_one_after_the_other_with_what_tells_them_apart():
    rows = [
        ratio(1.0, 1.3, "undecided"),
        exact("step_bytes", 1024, 2048),
        exact("kv_used_bytes", 4, 4),
        ratio(1.0, 1.01, "indistinguishable", cell="d", dtype="bf16"),
    ]
    first, second = cases(found(*rows))
    assert (first.name, second.name) == (
        "tiny, batch 1, 8 -> 8 tokens, dtype fp32",
        "tiny, batch 1, 8 -> 8 tokens, dtype bf16",
    )
    told = [(line.name, line.first, line.second, line.change) for line in first.lines]
    assert told == [
        ("static_kv", "2x", "2x", "cannot tell: interval ±30 %"),
        ("static_kv, step_bytes", "1.00 KiB", "2.00 KiB", "grew by 100 %"),
    ]
