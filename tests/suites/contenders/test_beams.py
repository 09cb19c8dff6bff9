"""Beam search of every contender: its sequences, scores and marks, and which cells of other searches are skipped."""

import dataclasses
import importlib.util
import math

import pytest

from strategies import config_of, load_model
from strategies.search.options import Beam, Sample
from suites.contenders import Contender, UnavailableError, registry
from suites.contenders.running.cache import shared_checkpoint
from suites.contenders.running.lineup import why_not
from suites.timing.clock import CpuClock
from tests.suites.contenders.conftest import SRC_IDS, STEPS, Events, cell_of

CACHES = ["transformers_dynamic", "transformers_static", "transformers_no_cache"]
CTRANSLATE2 = "ctranslate2_float32"
WIDTH, RETURNED = 4, 3

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ctranslate2") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"),
]


def beams(stop, **options):
    """The cell of the other tests, decoded by 4 beams, of which 3 are returned unless ``options`` say otherwise."""
    search = Beam(**{"num_beams": WIDTH, "num_return": RETURNED, **options})
    return dataclasses.replace(cell_of(stop), search=search)


def decoded_by(contender, cell, clock=None):
    """One round, in which a contender that was prepared for this cell leaves out nothing."""
    contender.clock = clock or CpuClock()
    contender._first = True
    return contender.round(SRC_IDS, cell.stop)


@pytest.mark.parametrize("early_stopping", ["true", "false", "never"])
@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_all_caches_find_the_same_sequences_the_best_of_a_sentence_first(prepared, stop, early_stopping):
    cell = beams(stop, early_stopping=early_stopping)
    found = [decoded_by(prepared(name, cell), cell) for name in CACHES]
    ends = set(config_of(cell.model).eos_ids)
    for one in found:
        assert one.token_ids == found[0].token_ids
        assert one.scores == pytest.approx(found[0].scores, rel=1e-5)
        assert len(one.token_ids) == len(one.scores) == 2 * RETURNED
        for sentence in (slice(0, RETURNED), slice(RETURNED, None)):
            assert one.scores[sentence] == sorted(one.scores[sentence], reverse=True)
            assert len(set(map(tuple, one.token_ids[sentence]))) == RETURNED
        lengths = {len(row) for row in one.token_ids}
        assert lengths == {STEPS} if stop == "fixed" else min(lengths) < STEPS
        assert all(ends.isdisjoint(row[:-1]) for row in one.token_ids)
        if stop == "fixed":
            assert all(ends.isdisjoint(row) for row in one.token_ids)


@pytest.mark.parametrize("every_step", [True, False])
@pytest.mark.parametrize("stop", ["fixed", "eos"])
@pytest.mark.parametrize("name", CACHES)
def test_each_step_that_was_taken_has_a_mark_though_no_streamer_is_given(prepared, name, stop, every_step):
    cell = beams(stop, early_stopping="true")
    contender = prepared(name, cell)
    clock = CpuClock() if every_step else Events(False)
    decoded = decoded_by(contender, cell, clock)
    steps = len(decoded.marks_s) - 2
    assert decoded.every_step == every_step
    assert decoded.marks_s == sorted(set(decoded.marks_s))
    assert decoded.marks_s[0] == 0
    longest = max(map(len, decoded.token_ids))
    assert steps == STEPS if stop == "fixed" and every_step else longest <= steps <= STEPS if every_step else steps == 2


def test_only_an_untimed_call_of_the_first_round_asks_for_scores(prepared, monkeypatch):
    cell = beams("eos")
    contender = prepared("transformers_dynamic", cell)
    asked, real = [], contender.model.generate
    monkeypatch.setattr(
        contender.model,
        "generate",
        lambda **given: asked.append(given["generation_config"].output_scores) or real(**given),
    )
    first = decoded_by(contender, cell)
    second = contender.round(SRC_IDS, cell.stop)
    assert [bool(scores) for scores in asked] == [False, True, False]
    assert first.scores
    assert second.scores is None
    assert first.token_ids == second.token_ids


def test_scores_are_left_out_where_their_copies_are_too_large(prepared, monkeypatch):
    cell = beams("eos")
    contender = prepared("transformers_dynamic", cell)
    monkeypatch.setattr("suites.contenders.generate.SCORES_BYTES_MAX", 2 * WIDTH * 29 * STEPS * 4 - 1)
    assert decoded_by(contender, cell).scores is None


def test_the_compiled_cache_is_skipped_as_generate_compiles_no_step_of_its_beam_search(checkpoint):
    cell = beams("fixed")
    with pytest.raises(UnavailableError, match="compiles no step of its beam search"):
        registry()["transformers_static_compiled"]().prepare(checkpoint, cell)


@pytest.mark.parametrize(
    "options",
    [
        {"early_stopping": "true"},
        {"early_stopping": "true", "length_penalty": 2.0},
        {"early_stopping": "false", "length_penalty": 0.0, "num_return": 1},
        {"early_stopping": "never", "length_penalty": 0.0, "num_return": 1},
    ],
)
def test_ctranslate2_finds_the_sequences_and_scores_of_transformers_where_it_declares_no_rule_of_its_own(
    tmp_path, options
):
    """On models whose head is not tied, too, of which CTranslate2 by itself makes the logits too small."""
    ended = 0
    for seed in range(4):
        for changes in ({}, {"tie_head": True, "scale_head": True}):
            cell = dataclasses.replace(beams("eos", **options), seed=seed)
            cell = dataclasses.replace(cell, model=cell_of("eos", seed, eos_id=7 + seed, **changes).model)
            checkpoint = shared_checkpoint(load_model(cell.model, seed=seed), tmp_path)
            found = []
            for name in ("transformers_dynamic", CTRANSLATE2):
                contender = registry()[name]()
                assert contender.own_rules(cell) == ""
                contender.prepare(checkpoint, cell)
                found.append(decoded_by(contender, cell))
            assert found[1].token_ids == found[0].token_ids
            assert found[1].scores == pytest.approx(found[0].scores, rel=1e-4)
            ended += sum(len(row) < STEPS for row in found[0].token_ids)
    assert ended


def test_with_beams_ctranslate2_marks_start_and_return_alone(prepared):
    cell = beams("fixed")
    decoded = decoded_by(prepared(CTRANSLATE2, cell), cell)
    assert not decoded.every_step
    assert [math.isnan(mark) for mark in decoded.marks_s] == [False, True, True, False]
    assert decoded.marks_s[0] == 0 < decoded.marks_s[3]
    assert [len(row) for row in decoded.token_ids] == [STEPS] * 2 * RETURNED


@pytest.mark.parametrize(
    ("changes", "options", "rule"),
    [
        ({"stop": "fixed"}, {"early_stopping": "true"}, "it masks EOS before the softmax"),
        ({"dtype": "bf16"}, {"early_stopping": "true"}, "it adds log-probabilities up in bf16"),
        ({}, {"early_stopping": "true", "length_penalty": 0.0}, "it ends a sentence once its best beam has ended"),
        ({}, {"early_stopping": "false", "length_penalty": 0.0}, "it ends a sentence once its best beam has ended"),
        ({}, {"early_stopping": "false"}, "it ends a sentence once 8 hypotheses have ended"),
        ({}, {"num_beams": 1, "num_return": 1}, "with one beam it decodes greedily"),
        ({"stop": "fixed"}, {"num_beams": 1, "num_return": 1}, ""),
    ],
)
def test_ctranslate2_declares_its_own_rules(changes, options, rule):
    cell = dataclasses.replace(beams("eos", **options), **changes)
    declared = registry()[CTRANSLATE2].own_rules(cell)
    assert declared.endswith(rule) if rule else declared == ""
    of_beams = cell.search.num_beams > 1
    assert registry()["transformers_dynamic"].own_rules(cell) == ("" if of_beams else rule)


class Greedily(Contender):
    """Of a user, who says nothing of searches."""


class Sampling(Contender):
    """Of a user, who would sample."""

    searches = ("greedy", "beam", "sample")


def test_one_that_says_nothing_of_searches_is_skipped_in_cells_of_beams(tiny_model):
    reason = why_not(Greedily, beams("eos"), tiny_model("t5"))
    assert reason == "it decodes by search=greedy alone, not by search=beam"
    assert (
        why_not(Greedily, cell_of("eos"), tiny_model("t5")) == why_not(Sampling, beams("eos"), tiny_model("t5")) == ""
    )


def test_in_cells_of_sampling_every_contender_is_skipped(tiny_model):
    cell = dataclasses.replace(cell_of("eos"), search=Sample())
    for contender in (*registry().values(), Sampling):
        if contender.dtypes.get("cpu"):
            assert "draws random numbers of its own" in why_not(contender, cell, tiny_model("t5"))
