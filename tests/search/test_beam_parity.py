"""Beam search, against ``generate(num_beams=W)`` of transformers on random checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from strategies import ModelConfig, Session, Strategy, parse, select
from strategies.search.begin import begin
from strategies.search.loop import decode
from strategies.search.options import Beam, Stop
from strategies.search.searching import Sequences

from .conftest import MAX_NEW, Checkpoint

FULL_RECOMPUTE = parse("full_recompute")
STRATEGIES = [*select("grid"), parse("static_kv(reorder=table)")]
ROUNDING = 1e-6
"""What the logits of the two may differ by, as a share of the largest; beyond it a different sequence is an error."""


def search(
    checkpoint: Checkpoint, beam: Beam, config: ModelConfig, stop: Stop, strategy: Strategy
) -> tuple[Sequences, int]:
    """What our search finds, and the number of ties that it met."""
    src_BS, mask_BS = checkpoint.src_BS, checkpoint.mask_BS
    searching = begin(beam, config, len(src_BS), MAX_NEW, stop, src_BS.device, tolerance=ROUNDING)
    session = Session(checkpoint.model, strategy, *src_BS.shape, MAX_NEW, beams=beam.width)
    session.prefill(src_BS, mask_BS)
    list(decode(session, searching, stop))
    return searching.sequences(), searching.ties()


def tokens(found: Sequences) -> list[list[int]]:
    return [row[:end] for row, end in zip(found.token_RN.tolist(), found.length_R.tolist(), strict=True)]


def check(
    checkpoint: Checkpoint,
    beam: Beam,
    config: ModelConfig,
    stop: Stop = "eos",
    strategy: Strategy = FULL_RECOMPUTE,
) -> Sequences:
    """Require the sequences and scores of transformers, and return what our search found.

    Sequences may differ where a tie decided; scores may not.
    """
    found, ties = search(checkpoint, beam, config, stop, strategy)
    expected, score_R = checkpoint.beam_search(beam, config, stop)
    assert tokens(found) == expected or ties
    largest = max(1.0, MAX_NEW**-beam.length_penalty)  # what a negative penalty multiplies scores by
    torch.testing.assert_close(found.score_R, score_R, atol=1e-4 * largest, rtol=0)
    return found


@pytest.mark.parametrize("early_stopping", ["true", "false", "never"])
@pytest.mark.parametrize("num_beams", [2, 4, 5])
def test_sequences_and_scores_equal_those_of_transformers(
    checkpoint: Checkpoint, num_beams: int, early_stopping: str
) -> None:
    apart = []
    configs = [checkpoint.ending_with(num_beams, eos_count) for eos_count in (1, 3)]
    for config, length_penalty in itertools.product(configs, (0.0, 1.0, 2.0, -0.5)):
        found = check(checkpoint, Beam(num_beams, length_penalty, early_stopping, num_return=num_beams), config)
        apart.append(len(set(found.length_R.tolist())))
    assert sum(steps > 2 for steps in apart) > 4, "sequences must end at three steps or more"


@pytest.mark.parametrize("stop", ["eos", "fixed"])
def test_the_best_of_the_beams_are_returned(checkpoint: Checkpoint, stop: Stop) -> None:
    config = checkpoint.ending_with(4, 1)
    few = check(checkpoint, Beam(4, num_return=2), config, stop)
    all = check(checkpoint, Beam(4, num_return=4), config, stop)
    assert few.score_R.view(-1, 2).tolist() == all.score_R.view(-1, 4)[:, :2].tolist()


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("num_beams", [2, 4, 5])
def test_a_fixed_length_equals_that_of_transformers_with_a_least_length(
    checkpoint: Checkpoint, num_beams: int, length_penalty: float
) -> None:
    config = checkpoint.ending_with(num_beams, 2)
    found = check(checkpoint, Beam(num_beams, length_penalty, num_return=num_beams), config, "fixed")
    assert found.token_RN.shape == (len(checkpoint.src_BS) * num_beams, MAX_NEW)
    assert set(found.length_R.tolist()) == {MAX_NEW}
    assert not set(config.eos_ids) & set(found.token_RN.flatten().tolist())


@pytest.mark.parametrize(("vocab", "num_beams"), [(7, 4), (7, 5), (9, 5)])
@pytest.mark.parametrize("stop", ["eos", "fixed"])
def test_a_vocabulary_of_fewer_than_two_ids_a_beam(
    make_checkpoint: Callable[[int, int], Checkpoint], vocab: int, num_beams: int, stop: Stop
) -> None:
    checkpoint = make_checkpoint(vocab, 2)
    config = checkpoint.ending_with(num_beams, 1)
    for early_stopping in ("true", "false", "never"):
        check(checkpoint, Beam(num_beams, early_stopping=early_stopping, num_return=num_beams), config, stop)


def test_sentences_that_are_done_wait_for_the_others_and_take_nothing_more(checkpoint: Checkpoint) -> None:
    config = checkpoint.ending_with(2, 6)
    beam = Beam(2, early_stopping="true", num_return=2)
    found = check(checkpoint, beam, config)
    longest = found.length_R.view(-1, 2).amax(1)
    assert longest.min() < found.token_RN.shape[1] <= longest.max(), "a sentence must be done before another"


@pytest.mark.parametrize("cross_beams", ["shared", "expanded", "expanded_once"])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.label)
@pytest.mark.parametrize("stop", ["eos", "fixed"])
def test_every_strategy_finds_them(checkpoint: Checkpoint, strategy: Strategy, cross_beams: str, stop: Stop) -> None:
    config = checkpoint.ending_with(4, 1)
    check(checkpoint, Beam(4, num_return=2), config, stop, replace(strategy, cross_beams=cross_beams))
