"""The judgement of beam search: the oracle's sequences and scores, ties, own rules, and what is wrong."""

import dataclasses
import importlib.util
import re

import pytest
import torch

from strategies import load_model, parse
from strategies.search.options import Beam
from suites.contenders import registry
from suites.contenders.running.agreement import padded
from suites.contenders.running.beam_agreement import BeamOracle, SequenceCheck
from suites.contenders.running.cache import shared_checkpoint
from suites.measuring.arms import StrategyArm
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock
from tests.suites.contenders.conftest import SRC_IDS, STEPS, cell_of

needs_contenders = pytest.mark.skipif(
    importlib.util.find_spec("ctranslate2") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


def beams(stop, **options):
    search = Beam(**{"num_beams": 4, "num_return": 3, **options})
    return dataclasses.replace(cell_of(stop), search=search)


def oracle_of(cell, model=None):
    model = model or load_model(cell.model, seed=cell.seed)
    arm = StrategyArm(parse("full_recompute"), model, make_inputs(cell, model.config), cell)
    return BeamOracle(arm, cell, "fp32")


@pytest.fixture(params=["fixed", "eos"])
def cell(request):
    return beams(request.param)


@pytest.fixture
def oracle(cell):
    return oracle_of(cell)


def copied(oracle):
    """(rows, scores) that a contender would give that finds what the oracle does."""
    found = oracle.found()
    return [list(row) for row in found.rows], list(found.scores)


@needs_contenders
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"early_stopping": early, "length_penalty": penalty})
          for name in ("transformers_dynamic", "transformers_static", "transformers_no_cache")
          for early, penalty in (("true", 1.0), ("false", 0.0), ("never", 2.0))),
        ("ctranslate2_float32", {"early_stopping": "true"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_contenders_find_the_oracle_s_sequences_and_scores(prepared, name, options, stop):
    cell = beams(stop, **options)
    contender = prepared(name, cell)
    contender._first = True
    decoded = contender.round(SRC_IDS, cell.stop)
    check = oracle_of(cell).check(decoded.token_ids, decoded.scores)
    assert decoded.scores
    rules = contender.own_rules(cell)
    passed, remark = check.reason(contender.exact, rules)
    assert passed, remark
    if rules:
        assert (remark == "") == (check.different == 0)
    else:
        assert (remark, check.different, check.ties, check.total) == ("", 0, 0, 6)


def test_the_oracle_scores_its_own_sequences_as_its_search_did(oracle):
    rows, scores = copied(oracle)
    assert oracle.scores(rows) == pytest.approx(scores, rel=1e-5)
    assert oracle.check(rows, None).reason(True, "") == oracle.check(rows, scores).reason(True, "") == (True, "")


def test_another_sequence_is_named_with_its_first_step_and_both_scores(oracle):
    rows, scores = copied(oracle)
    right = rows[4][2]
    rows[4][2] = wrong = next(token for token in range(3, 29) if token not in rows[4] and token != 25)
    check = oracle.check(rows, None)
    passed, reason = check.reason(True, "")
    assert not passed
    assert reason.startswith(f"step 3: sequence 2 of row 1 has token {wrong}, the oracle's search token {right}; ")
    judged, own = map(float, re.findall(r"-\d+\.\d+", reason))
    assert judged < own == pytest.approx(scores[4], rel=1e-4)
    assert check.different == 1
    assert check.score == pytest.approx(check.oracle_score + (judged - own) / 6, rel=1e-4)


def test_a_longer_sequence_is_named_where_the_oracle_s_has_ended():
    oracle = oracle_of(beams("eos"))
    rows, _ = copied(oracle)
    shortest = min(range(6), key=lambda place: len(rows[place]))
    ended = len(rows[shortest])
    assert ended < STEPS
    rows[shortest].append(3)
    _, reason = oracle.check(rows, None).reason(True, "")
    assert reason.startswith(f"step {ended + 1}: ")
    assert "has token 3, the oracle's search no token" in reason


def test_a_score_that_full_recompute_does_not_give_is_wrong_though_the_sequences_are_right(oracle):
    rows, scores = copied(oracle)
    scores[1] += 1e-3
    passed, reason = oracle.check(rows, scores).reason(True, "")
    assert not passed
    assert reason.startswith("sequence 2 of row 0 comes with the score -1.")
    assert oracle.check(rows, scores).reason(True, "it scores otherwise") == (True, "")


def test_what_rounding_may_turn_passes_and_is_told_as_ties():
    """Two ids of equal rows in the embeddings and in the head are equally likely wherever they stand."""
    cell = beams("fixed", num_return=1)
    model = load_model(cell.model, seed=cell.seed)
    chosen = oracle_of(cell, model).found().rows[0][1]
    other = next(token for token in range(13, 29) if token not in (chosen, model.config.eos_id))
    for weight in (model.embedding.weight, model.lm_head.weight):
        weight[other] = weight[chosen]
    oracle = oracle_of(cell, model)
    rows, scores = copied(oracle)
    place = next(n for n, token in enumerate(rows[0]) if token in (chosen, other))
    rows[0][place] = other if rows[0][place] == chosen else chosen
    check = oracle.check(rows, scores)
    passed, reason = check.reason(True, "")
    assert passed
    assert check.ties > 0
    assert reason.startswith("ties: 1 of 2 sequences differs, and rounding could turn ")
    scores[0] -= 1e-2  # a tie excuses no wrong score
    assert not oracle.check(rows, scores).reason(True, "")[0]


def test_others_sequences_are_told_where_the_rules_or_the_weights_are_others():
    check = SequenceCheck(6, 2, -1.3, -1.25, wrong="step 1: ...", misjudged="row 0 comes with ...")
    means = "2 of 6 sequences differ; mean score -1.3 against -1.25, both by full_recompute"
    assert check.reason(True, "it has patience") == (True, f"its own search rules (it has patience): {means}")
    assert check.reason(False, "") == (True, f"other numerics: {means}")
    assert check.reason(True, "") == (False, "step 1: ...")


@needs_contenders
def test_tokens_are_equal_though_the_search_went_on_after_the_sequence_that_it_returns(prepared):
    cell = dataclasses.replace(beams("eos", num_return=1), batch_size=1, src_ids=SRC_IDS[:1])
    model = load_model(cell.model, seed=cell.seed)
    arm = StrategyArm(parse("full_recompute"), model, make_inputs(cell, model.config), cell)
    done = arm.round(0, False, CpuClock())
    decoded = prepared("transformers_dynamic", cell).round(cell.src_ids, "eos")
    assert arm.steps == len(done.marks_s) - 2 == len(decoded.marks_s) - 2 > len(decoded.token_ids[0])
    assert torch.equal(arm.token_BN, padded(decoded.token_ids, model.config.pad_id))


@needs_contenders
def test_sequences_that_no_search_can_find_are_not_compared(tmp_path):
    """A single token of 28 that may be chosen makes no 30 sequences."""
    cell = dataclasses.replace(beams("fixed", num_beams=30, num_return=30), tgt_len=1)
    model = load_model(cell.model, seed=cell.seed)
    contender = registry()["transformers_dynamic"]()
    contender.prepare(shared_checkpoint(model, tmp_path), cell)
    decoded = contender.round(SRC_IDS, "fixed")
    oracle = oracle_of(cell, model)
    assert [len(row) for row in oracle.found().rows] == [*[1] * 28, 0, 0] * 2
    check = oracle.check(decoded.token_ids, decoded.scores)
    assert (check.different, check.wrong, check.misjudged) == (0, "", "")


def test_one_beam_is_scored_too():
    oracle = oracle_of(beams("eos", num_beams=1, num_return=1))
    rows, scores = copied(oracle)
    assert oracle.scores(rows) == pytest.approx(scores, rel=1e-5)
    assert torch.isfinite(torch.tensor(scores)).all()


def test_rules_of_its_own_excuse_no_sequences_that_are_far_worse():
    passed, why = SequenceCheck(6, 6, -1.5, -1.25).reason(True, "it has patience")
    assert not passed
    assert why.startswith("its own search rules (it has patience) explain no such loss: 6 of 6 sequences differ")


def test_a_tie_of_one_sentence_excuses_no_other(oracle):
    found = oracle.found()
    rows, _ = copied(oracle)
    for ties, passes in (([1, 0], True), ([0, 1], False)):
        other = [[*rows[0][:-1], 3 if rows[0][-1] == 2 else 2], *rows[1:]]
        oracle._found = dataclasses.replace(found, ties=ties)
        assert oracle.check(other, None).reason(True, "")[0] == passes
    oracle._found = found
