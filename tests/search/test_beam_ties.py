"""Ties of beam search: what a small difference could turn, and what it could not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from strategies.search.beam import BeamSearch
from strategies.search.options import Beam, Stop

from .test_beam import CONFIG, CPU, EOS, logits_of, random_logits

TOLERANCE = 1e-5
NEAR, FAR = 1 + 1e-6, 1 + 1e-2


def counting(beam: Beam, max_new: int, stop: Stop = "eos", batch: int = 1) -> BeamSearch:
    return BeamSearch(beam, CONFIG, batch, max_new, stop, CPU, TOLERANCE)


@pytest.mark.parametrize("stop", ["eos", "fixed"])
@pytest.mark.parametrize(("factor", "ties"), [(NEAR, 1), (FAR, 0)])
def test_the_last_that_goes_on_and_the_first_that_does_not(stop: Stop, factor: float, ties: int) -> None:
    searching = counting(Beam(2), 9, stop)
    searching.choose(logits_of({3: 0.5, 4: 0.2, 5: 0.2 / factor}, {}))
    assert searching.ties() == ties


def test_the_order_of_those_that_go_on_is_no_tie() -> None:
    searching = counting(Beam(2), 9)
    searching.choose(logits_of({3: 0.4, 4: 0.4, 5: 0.1}, {}))
    assert searching.ties() == 0


@pytest.mark.parametrize(("factor", "ties"), [(NEAR, 1), (FAR, 0)])
@pytest.mark.parametrize("is_kept", [True, False])
def test_one_that_ends_beside_the_cut(factor: float, ties: int, is_kept: bool) -> None:
    searching = counting(Beam(2), 9)
    ending, other = (0.3, 0.3 / factor) if is_kept else (0.3 / factor, 0.3)
    searching.choose(logits_of({3: 0.34, EOS: ending, 4: other, 5: 0.01}, {}))
    assert searching.ties() == ties


@pytest.mark.parametrize(("factor", "ties"), [(NEAR, 1), (FAR, 0)])
def test_whether_a_sentence_is_done(factor: float, ties: int) -> None:
    searching = counting(Beam(1, length_penalty=0.0), 9)
    searching.choose(logits_of({EOS: 0.4, 3: 0.4 / factor}))
    assert searching.ties() == 2 * ties, "whether the other is the one that goes on, and whether it could be better"


@pytest.mark.parametrize(("factor", "ties"), [(NEAR, 1), (FAR, 0)])
@pytest.mark.parametrize("num_return", [1, 2])
@pytest.mark.parametrize("stop", ["eos", "fixed"])
def test_which_sequences_are_returned(stop: Stop, num_return: int, factor: float, ties: int) -> None:
    searching = counting(Beam(2, num_return=num_return), 1, stop)
    last = {1: {3: 0.4, 4: 0.4 / factor, 5: 0.1}, 2: {3: 0.5, 4: 0.2, 5: 0.2 / factor}}[num_return]
    searching.choose(logits_of(last, {}))
    assert searching.ties() == 0
    searching.finish()
    assert searching.ties() == ties


def test_a_tie_beyond_the_sequences_returned_is_none() -> None:
    searching = counting(Beam(3, num_return=1), 1)
    searching.choose(logits_of({3: 0.5, 4: 0.2, 5: 0.2, 6: 0.05}, {}, {}))
    searching.finish()
    assert searching.ties() == 0


def test_sequences_that_do_not_exist_are_no_tie() -> None:
    searching = BeamSearch(Beam(5, num_return=5), replace(CONFIG, vocab_size=3), 1, 1, "eos", CPU, TOLERANCE)
    searching.choose(torch.tensor([[0.0, 1.0, 2.0]]).repeat(5, 1))
    searching.finish()
    assert searching.ties() == 0


def test_a_sentence_that_is_done_has_no_further_ties() -> None:
    searching = counting(Beam(2, early_stopping="true"), 9, batch=2)
    start, end, tied = {3: 0.5, 4: 0.3}, {EOS: 0.9, 6: 0.05}, {3: 0.3, 4: 0.3, 5: 0.3}
    searching.choose(logits_of(start, {}, start, {}))
    searching.choose(logits_of(end, end, {5: 0.9}, {5: 0.9}))
    before = searching.ties()
    searching.choose(logits_of(tied, {}, {5: 0.9}, {5: 0.9}))
    assert searching.ties() == before


@pytest.mark.parametrize("stop", ["eos", "fixed"])
def test_counting_changes_nothing(stop: Stop) -> None:
    results = []
    for tolerance in (None, TOLERANCE):
        searching = BeamSearch(Beam(4, num_return=4), CONFIG, 3, 7, stop, CPU, tolerance)
        for logits_XV in random_logits(7, 12):
            searching.choose(logits_XV.clone())
        searching.finish()
        results.append(searching.sequences())
    assert torch.equal(results[0].token_RN, results[1].token_RN)
    assert torch.equal(results[0].score_R, results[1].score_R)


def test_random_logits_of_float32_have_few_ties_and_a_coarse_tolerance_has_many() -> None:
    counts = []
    for tolerance in (1e-7, 1e-1):
        searching = BeamSearch(Beam(4), CONFIG, 3, 7, "fixed", CPU, tolerance)
        for logits_XV in random_logits(7, 12):
            searching.choose(logits_XV.clone())
        searching.finish()
        counts.append(searching.ties())
    assert counts[0] == 0
    assert counts[1] > 10
