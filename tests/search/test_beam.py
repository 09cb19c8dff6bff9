"""Beam search on logits that are given step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from strategies import ModelConfig
from strategies.search.beam import BeamSearch
from strategies.search.begin import begin
from strategies.search.options import Beam, Greedy, Search, SearchError, Stop
from strategies.search.searching import Searching

CONFIG = ModelConfig(9, 8, 2, 4, 8, 1, 1)
CPU = torch.device("cpu")
EOS = CONFIG.eos_id


def beam_search(
    beam: Beam, max_new: int, stop: Stop = "eos", batch: int = 1, config: ModelConfig = CONFIG
) -> BeamSearch:
    return BeamSearch(beam, config, batch, max_new, stop, CPU)


def random_logits(steps: int, rows: int, vocab: int = CONFIG.vocab_size, seed: int = 0) -> Tensor:
    """Logits of each step, [N, X, V]."""
    return 2 * torch.randn(steps, rows, vocab, generator=torch.Generator().manual_seed(seed))


def logits_of(*rows: dict[int, float]) -> Tensor:
    """Logits [X, V] whose softmax is the probabilities given by id in each row; the other ids share the rest."""
    probability_XV = torch.empty(len(rows), CONFIG.vocab_size)
    for probability_V, given in zip(probability_XV, rows, strict=True):
        probability_V.fill_((1 - sum(given.values())) / (CONFIG.vocab_size - len(given)))
        for number, probability in given.items():
            probability_V[number] = probability
    return probability_XV.log()


def found(searching: Searching) -> list[tuple[list[int], float]]:
    """The tokens of each sequence up to its end, and its score."""
    searching.finish()
    sequences = searching.sequences()
    assert sequences.score_R is not None
    rows = zip(sequences.token_RN.tolist(), sequences.length_R.tolist(), sequences.score_R.tolist(), strict=True)
    return [(tokens[:length], score) for tokens, length, score in rows]


@pytest.mark.parametrize("stop", ["eos", "fixed"])
@pytest.mark.parametrize("early_stopping", ["true", "false"])
def test_one_beam_is_greedy_search(stop: Stop, early_stopping: str) -> None:
    searches: list[Search] = [Greedy(), Beam(1, early_stopping=early_stopping)]
    lengths = set()
    for seed in range(20):
        rows = []
        for search in searches:
            searching = begin(search, CONFIG, 3, 8, stop, CPU)
            for logits_BV in random_logits(8, 3, seed=seed):
                assert searching.choose(logits_BV).parent_BW is None
            searching.finish()
            sequences = searching.sequences()
            ends = sequences.length_R.tolist()
            rows.append([row[:end] for row, end in zip(sequences.token_RN.tolist(), ends, strict=True)])
            lengths.update(ends)
        assert rows[0] == rows[1]
    assert len(lengths) == 1 if stop == "fixed" else len(lengths) > 4


def test_the_first_step_continues_one_beam_and_the_others_are_ordered_by_score() -> None:
    searching = beam_search(Beam(2), 3, "fixed")
    chosen = searching.choose(logits_of({3: 0.5, 4: 0.3}, {5: 0.9}))
    assert chosen.token_X.tolist() == [3, 4]
    assert chosen.parent_BW.tolist() == [[0, 0]]
    chosen = searching.choose(logits_of({3: 0.2}, {5: 0.9, 6: 0.05}))
    assert chosen.token_X.tolist() == [5, 3]
    assert chosen.parent_BW.tolist() == [[1, 0]]
    assert searching.moved_share() == 0.5, "the first step, after which the second beam goes on from the first"
    chosen = searching.choose(logits_of({3: 0.9}, {7: 0.1}))
    assert searching.moved_share() == 0.75
    [(tokens, score)] = found(searching)
    assert tokens == [4, 5, 3]
    assert score == pytest.approx(torch.tensor([0.3, 0.9, 0.9]).log().sum().item() / 3, rel=1e-5)


def test_rows_that_moved_are_those_whose_parents_say_so() -> None:
    searching = beam_search(Beam(4), 7, "fixed", batch=3)
    parents = [searching.choose(logits_XV).parent_BW for logits_XV in random_logits(7, 12)]
    moved = sum(int((parent_BW != torch.arange(4)).sum()) for parent_BW in parents[:-1])
    assert 0 < moved < 6 * 12
    assert searching.moved_share() == pytest.approx(moved / (6 * 12))
    assert all(parent_BW.min() >= 0 and parent_BW.max() < 4 for parent_BW in parents)


def test_a_search_of_one_step_reorders_nothing() -> None:
    searching = beam_search(Beam(2), 1)
    searching.choose(random_logits(1, 2)[0])
    assert searching.moved_share() is None


def test_at_a_fixed_length_the_other_tokens_keep_the_probabilities_that_they_have_beside_eos() -> None:
    searching = beam_search(Beam(2, num_return=2), 1, "fixed")
    searching.choose(logits_of({EOS: 0.6, 3: 0.3, 4: 0.05}, {}))
    [(first, best), (second, _)] = found(searching)
    assert (first, second) == ([3], [4])
    assert best == pytest.approx(torch.tensor(0.3).log().item(), rel=1e-5)


@pytest.mark.parametrize("stop", ["eos", "fixed"])
def test_narrow_logits_give_the_float32_scores_of_their_values(stop: Stop) -> None:
    logits_NXV = random_logits(6, 8, vocab=5000).bfloat16()
    config = replace(CONFIG, vocab_size=5000)
    results = []
    for given_NXV in (logits_NXV, logits_NXV.float()):
        searching = beam_search(Beam(4, num_return=4), 6, stop, batch=2, config=config)
        for logits_XV in given_NXV:
            searching.choose(logits_XV.clone())
        searching.finish()
        results.append(searching.sequences())
    narrow, wide = results
    assert narrow.score_R.dtype == torch.float32
    assert torch.equal(narrow.score_R, wide.score_R)
    assert torch.equal(narrow.token_RN, wide.token_RN)


def test_only_those_that_end_among_the_best_w_are_kept() -> None:
    searching = beam_search(Beam(2, early_stopping="true", num_return=2), 3)
    searching.choose(logits_of({3: 0.5, 4: 0.3, EOS: 0.1}, {}))
    assert not searching.has_ended()
    searching.choose(logits_of({EOS: 0.8, 5: 0.1}, {EOS: 0.9, 5: 0.05}))
    assert searching.has_ended()
    assert [tokens for tokens, _ in found(searching)] == [[3, EOS], [4, EOS]]


def test_as_many_go_on_as_there_are_beams_however_many_ids_end_a_sentence() -> None:
    config = replace(CONFIG, other_eos_ids=(2, 8))
    ending = {EOS: 0.3, 2: 0.3, 8: 0.3}
    searching = beam_search(Beam(2, early_stopping="never"), 9, config=config)
    chosen = searching.choose(logits_of({**ending, 3: 0.05, 4: 0.04}, {}))
    assert chosen.token_X.tolist() == [3, 4]
    chosen = searching.choose(logits_of({**ending, 5: 0.06}, {**ending, 6: 0.06}))
    assert chosen.token_X.tolist() == [5, 6]
    assert chosen.parent_BW.tolist() == [[0, 1]]


def test_a_sentence_is_done_where_what_goes_on_could_only_be_as_good() -> None:
    searching = beam_search(Beam(2, length_penalty=0.0), 9)
    searching.choose(logits_of({3: 0.6, EOS: 0.3}, {}))
    assert not searching.has_ended(), "one more must end"
    searching.choose(logits_of({EOS: 0.45, 4: 0.45}, {}))
    assert searching.has_ended()


@pytest.mark.parametrize("penalty", [-1.0, 0.0, 1.0])
def test_never_assumes_the_length_that_is_best_for_what_goes_on(penalty: float) -> None:
    searching = beam_search(Beam(2, length_penalty=penalty, early_stopping="never"), 100)
    searching.choose(logits_of({3: 0.9, EOS: 0.05}, {}))
    searching.choose(logits_of({EOS: 0.1, 5: 0.85}, {}))
    assert not searching.has_ended(), "log(0.9 * 0.85) at 2 or 100 tokens is better than log(0.9 * 0.1) at 2"


def test_each_sentence_is_done_by_itself_and_then_takes_no_further_sequence() -> None:
    searching = beam_search(Beam(2, early_stopping="true", length_penalty=2.0, num_return=2), 4, batch=2)
    start, go_on, end = {3: 0.5, 4: 0.4}, {5: 0.9}, {EOS: 0.9, 6: 0.05}
    searching.choose(logits_of(start, start, start, start))
    searching.choose(logits_of(end, end, go_on, go_on))
    assert not searching.has_ended()
    # The scores of the first sentence would be better at this length.
    searching.choose(logits_of(end, end, end, end))
    assert searching.has_ended()
    first, second = found(searching)[:2], found(searching)[2:]
    assert [tokens for tokens, _ in first] == [[3, EOS], [4, EOS]]
    assert [tokens for tokens, _ in second] == [[3, 5, EOS], [4, 5, EOS]]
    assert searching.sequences().token_RN[0].tolist() == [3, EOS, CONFIG.pad_id]


def test_sequences_that_do_not_exist_have_no_tokens_and_no_score() -> None:
    searching = beam_search(Beam(5, num_return=5), 1, config=replace(CONFIG, vocab_size=3))
    searching.choose(torch.tensor([[0.0, 1.0, 2.0]]).repeat(5, 1))
    rows = found(searching)
    assert [tokens for tokens, _ in rows] == [[2], [1], [0], [], []]
    assert [score for _, score in rows[3:]] == [-torch.inf, -torch.inf]


@pytest.mark.parametrize("penalty", [30.0, -30.0])
def test_a_power_of_lengths_beyond_float32_is_refused(penalty: float) -> None:
    with pytest.raises(SearchError, match=r"with 64 tokens: 64 to this power is out of the range .* at most 19\.2 and"):
        beam_search(Beam(length_penalty=penalty), 64)
    assert beam_search(Beam(length_penalty=penalty), 2).ties() == 0
