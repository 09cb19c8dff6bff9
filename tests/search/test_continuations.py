"""The best continuations, against sorting all of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.search.continuations import DIRECT, PIECE, best_continuations

PIECES = 40 * PIECE
assert PIECES > DIRECT


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.integers(1, 5),
    st.one_of(st.integers(1, 30), st.sampled_from([PIECES, PIECES + 1, PIECES + 77, PIECES + PIECE - 1])),
    st.integers(1, 60),
    st.booleans(),
)
def test_scores_are_the_greatest_of_all_and_belong_to_their_indices(
    seed: int, batch: int, width: int, vocab: int, count: int, are_equal: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logprob_XV = torch.randn(batch * width, vocab, generator=generator)
    if are_equal:
        logprob_XV = logprob_XV.round()
    score_BW = torch.randn(batch, width, generator=generator)
    score_BW[:, 1:].masked_fill_(torch.rand(batch, width - 1, generator=generator) < 0.3, -torch.inf)
    score_BJ, index_BJ = best_continuations(logprob_XV, score_BW, count)
    all_BY = (logprob_XV.view(batch, width, vocab) + score_BW[:, :, None]).flatten(1)
    count = min(count, width * vocab)
    assert torch.equal(score_BJ, all_BY.sort(descending=True).values[:, :count])
    assert torch.equal(score_BJ, all_BY.gather(1, index_BJ))
    is_live_BJ = score_BJ > -torch.inf
    for index_J, is_live_J in zip(index_BJ, is_live_BJ, strict=True):
        live = index_J[is_live_J].tolist()
        assert len(set(live)) == len(live)


@pytest.mark.parametrize("place", [0, PIECE - 1, PIECE, PIECES - 1, PIECES, PIECES + 4])
def test_the_best_is_found_wherever_it_stands(place: int) -> None:
    logprob_XV = torch.zeros(6, PIECES + 5)
    logprob_XV[4, place] = 1.0
    score_BJ, index_BJ = best_continuations(logprob_XV, torch.zeros(2, 3), 1)
    assert score_BJ.tolist() == [[0.0], [1.0]]
    assert index_BJ[1].tolist() == [(PIECES + 5) + place]


def test_nothing_is_read_past_the_end_of_the_vocabulary() -> None:
    logprob_XV = torch.zeros(2, PIECES + 5)
    logprob_XV[0, 0], logprob_XV[1, PIECES + 4] = 2.0, 1.0
    score_BJ, index_BJ = best_continuations(logprob_XV, torch.zeros(1, 2), 3)
    assert score_BJ.tolist() == [[2.0, 1.0, 0.0]]
    assert index_BJ[0, :2].tolist() == [0, PIECES + 5 + PIECES + 4]
