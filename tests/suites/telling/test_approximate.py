"""What people are told of approximate strategies: in the ranked table, the card, the advice and the summaries."""

import math

import pandas as pd
import pytest

from suites.telling.advice import advise
from suites.telling.card import card
from suites.telling.ranking import rankings
from suites.telling.search_told import quality_told
from suites.telling.step_summary import markdown_summary
from suites.telling.summary import equality_told

from .test_card import table_of
from .test_search_told import cell

TIMES = {"full_recompute": [4.0, 4.02, 3.99, 4.01], "static_kv": [1.0, 1.01, 0.99, 1.0]}
FASTER, SLOWER = [0.5, 0.51, 0.49, 0.5], [2.0, 2.02, 1.98, 2.0]
NAN = math.nan
TOP = "top-1 99.2 %, phoneme error +0.40 pt"
LOSS = "99.2 % of 256 choices equal, KL 0.0003 nats per step, phoneme error 9.42 % instead of 9.02 % (497 words)"


def table_with(lossy, exact=TIMES):
    """A table in which ``window_kv`` is approximate, as ``suites.tables.case_table`` makes it."""
    table = table_of(exact)
    if lossy:
        both = table_of({**exact, "window_kv": lossy})
        mine = both[both["strategy"] == "window_kv"].copy()
        base = table_of({"static_kv": exact["static_kv"], "window_kv": lossy})
        for name in ("ratio", "ratio_low", "ratio_high", "verdict", "holm_low", "holm_high"):
            found = base.set_index("strategy").loc["window_kv", f"e2e_{name}"]
            mine[f"best_{name}"] = found
        table = pd.concat([table, mine.assign(best_strategy="static_kv")], ignore_index=True)
    approximate = table["strategy"] == "window_kv"
    return table.assign(
        exact=(~approximate).astype(float),
        phoneme_error=approximate.map({True: 0.0942, False: 0.0902}),
        phoneme_error_words=497.0,
        choices=approximate.map({True: 256.0, False: NAN}),
        top1_equal=approximate.map({True: 0.992, False: NAN}),
        kl_nats=approximate.map({True: 0.0003, False: NAN}),
        kv_reserved_bytes=table["strategy"].map({"full_recompute": 0.0, "static_kv": 4000.0, "window_kv": 1080.0}),
        max_logit_error=approximate.map({True: 0.2, False: 1e-6}),
        fp32_error_ratio=NAN,
    )


def lines_of(table, width=200):
    (ranking,) = rankings(table, width)
    columns = {str(column.header): [str(text) for text in column.cells] for column in ranking.columns}
    return columns


@pytest.mark.parametrize("lossy", [FASTER, SLOWER])
@pytest.mark.parametrize("width", [80, 200])
def test_the_ranked_table_shows_it_below_the_exact_ones_with_its_quality_beside(lossy, width):
    columns = lines_of(table_with(lossy), width)
    names = [name for name in columns["strategy"] if name]
    assert names[1:] == ["static_kv", "full_recompute", "window_kv"]
    assert columns["quality"][-3:] == ["exact", "exact", f"approximate: {TOP}"]
    assert "quality" not in lines_of(table_with(None), width)


def test_a_summary_without_that_column_has_the_quality_beside_the_name():
    text = markdown_summary(table_with(FASTER), [], 0.02)
    assert f"window_kv (approximate: {TOP})" in text
    assert text.index("full_recompute |") < text.index("window_kv (")


def test_the_card_picks_an_exact_one_and_names_a_faster_approximate_one_with_its_loss():
    first, second, *_ = card(table_with(FASTER))
    assert "use static_kv: 4x faster than full_recompute" in first
    assert f"window_kv is 2x faster than it [2, 2], but approximate: {TOP}" in second
    assert "window_kv" not in " ".join(card(table_with(SLOWER)))


def test_the_card_does_not_recommend_where_nothing_exact_was_timed():
    table = table_with(FASTER)
    alone = table[table["strategy"] == "window_kv"].assign(best_strategy="window_kv", best_verdict="baseline")
    (line,) = card(alone)
    assert line == "At batch 2, 8 -> 8, only approximate strategies were timed, so none is named the fastest."


def test_one_exact_strategy_beside_approximate_ones_is_not_called_alone():
    table = table_with(SLOWER)
    first = card(table[table["strategy"] != "full_recompute"].assign(baseline="static_kv"))[0]
    assert first == "At batch 2, 8 -> 8, use static_kv, the only exact strategy that was timed."


def test_the_advice_says_what_it_loses_and_saves_and_recommends_exact_ones_alone():
    told = {section.title: section.sentences for section in advise(table_with(SLOWER))}
    (choice,) = told["which to use"]
    assert "window_kv" not in choice
    (sentence,) = told["what approximate strategies lose and save, batch 2, 8 -> 8"]
    held = "It holds 27 % of the K/V bytes of static_kv, at 100 % of its peak of memory,"
    assert sentence == f"window_kv is approximate: {LOSS}. {held} and is 2x slower than static_kv [2, 2]"
    assert all("window_kv" not in line for line in told["what remembering saves and costs, batch 2, 8 -> 8"])


def test_only_exact_ones_are_called_equal():
    assert "every exact strategy gave full recompute's logits within 1.0e-06" in equality_told(table_with(FASTER))
    assert "every strategy gave full recompute's logits within 1.0e-06" in equality_told(table_with(None))


def test_the_line_on_phoneme_errors_says_how_long_the_phrases_were():
    known = {"phoneme_error": 0.0902, "phoneme_error_words": 500}
    lines = quality_told([cell(1, **known), cell(1, **known | {"phoneme_error_phrase": 7, "phoneme_error_words": 497})])
    assert lines == [
        "phoneme error on 500 held-out words: 9.02 % with 1 beam",
        "phoneme error on 497 held-out words in phrases of 7: 9.02 % with 1 beam",
    ]


def test_one_that_ends_earlier_is_compared_by_the_time_of_a_step_and_both_numbers_are_told():
    table = table_with(FASTER)
    mine = table["strategy"] == "window_kv"
    table = table.assign(tpot_s=table["strategy"].map({"full_recompute": 4.0, "static_kv": 1.0, "window_kv": 1.1}))
    table["reason"] = table["reason"].mask(mine, "decodes 40 steps freely, an exact strategy 52")
    ended = "40 steps instead of 52"
    told = {section.title: section.sentences for section in advise(table)}
    (sentence,) = told["what approximate strategies lose and save, batch 2, 8 -> 8"]
    assert sentence.endswith("static_kv, at 100 % of its peak of memory; per step it takes 1.1x the time of static_kv")
    assert "It decodes 40 steps freely, an exact strategy 52. " in sentence
    assert "faster" not in sentence
    assert lines_of(table)["quality"][-1] == f"approximate: {TOP}, {ended}"
    assert f"but approximate: {TOP}, {ended}" in " ".join(card(table))
