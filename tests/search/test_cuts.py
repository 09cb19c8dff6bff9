"""Top-k and top-p, against the warpers of transformers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from strategies.search.cuts import cut
from strategies.search.options import Sample


@settings(deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(2, 60),
    st.floats(0.1, 5),
    st.integers(0, 70),
    st.one_of(st.just(1.0), st.floats(0.01, 0.999)),
    st.booleans(),
)
def test_the_ids_kept_are_those_that_transformers_keeps(
    seed: int, vocab: int, temperature: float, top_k: int, top_p: float, are_equal: bool
) -> None:
    logits_XV = 2 * torch.randn(3, vocab, generator=torch.Generator().manual_seed(seed))
    if are_equal:
        logits_XV = logits_XV.round()
    warped_XV = TemperatureLogitsWarper(temperature)(None, logits_XV.clone())
    if top_k:
        warped_XV = TopKLogitsWarper(top_k)(None, warped_XV)
    ascending_XV = warped_XV.sort(descending=False).values.softmax(-1).cumsum(-1)
    if top_p < 1:
        warped_XV = TopPLogitsWarper(top_p)(None, warped_XV)
    is_tied_X = ((ascending_XV - (1 - top_p)).abs() < 1e-5).any(1) & (top_p < 1)
    ours_XV = cut(logits_XV, Sample(temperature, top_k, top_p))
    if are_equal:  # transformers keeps any of the equal ids
        ours_XV, warped_XV = ours_XV.sort().values, warped_XV.sort().values
    torch.testing.assert_close(ours_XV[~is_tied_X], warped_XV[~is_tied_X])


def test_of_equal_logits_at_the_cut_of_top_p_the_lowest_ids_are_kept() -> None:
    logits_XV = torch.zeros(1, 40)
    assert (cut(logits_XV, Sample(top_p=0.51)) == 0).flatten().tolist() == [True] * 21 + [False] * 19


@pytest.mark.parametrize("top_p", [1e-9, 0.5])
def test_the_most_likely_id_is_always_kept(top_p: float) -> None:
    logits_XV = torch.tensor([[0.0, 90.0, 1.0], [70.0, 0.0, 0.0]])
    kept_XV = cut(logits_XV, Sample(top_p=top_p)) > -torch.inf
    assert kept_XV.tolist() == [[False, True, False], [True, False, False]]


def test_a_top_k_beyond_the_vocabulary_cuts_nothing() -> None:
    logits_XV = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(cut(logits_XV, Sample(top_k=9)), logits_XV)
