"""Searches on a CUDA device: they choose as on the CPU, and at a fixed length never wait for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategies import ModelConfig
from strategies.search.begin import begin
from strategies.search.options import Beam, Greedy, Sample, Search, Stop
from strategies.search.searching import Sequences

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
BATCH, STEPS = 3, 6
SEARCHES = [Greedy(), Beam(4, num_return=4), Sample(0.8), Sample(top_k=9, top_p=0.9)]


def choose(search: Search, logits_NXV: Tensor, stop: Stop) -> Sequences:
    """What ``search`` finds; at a fixed length, a wait for the device is an error."""
    config = ModelConfig(logits_NXV.shape[-1], 8, 2, 4, 8, 1, 1)
    searching = begin(search, config, BATCH, STEPS, stop, logits_NXV.device)
    if stop == "fixed" and logits_NXV.is_cuda:
        torch.cuda.set_sync_debug_mode("error")
    try:
        for logits_XV in logits_NXV.clone():
            searching.choose(logits_XV)
        searching.finish()
    finally:
        if logits_NXV.is_cuda:
            torch.cuda.set_sync_debug_mode("default")
    return searching.sequences()


@pytest.mark.parametrize("stop", ["fixed", "eos"])
@pytest.mark.parametrize("vocab", [43, 5000])
@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_a_search_chooses_as_on_the_cpu(search: Search, vocab: int, stop: Stop) -> None:
    generator = torch.Generator().manual_seed(0)
    logits_NXV = 3 * torch.randn(STEPS, BATCH * search.width, vocab, generator=generator)
    logits_NXV[2:, :, 1] += 6  # EOS
    there, here = choose(search, logits_NXV.cuda(), stop), choose(search, logits_NXV, stop)
    assert there.token_RN.tolist() == here.token_RN.tolist()
    assert there.length_R.tolist() == here.length_R.tolist()
    if there.score_R is not None:
        torch.testing.assert_close(there.score_R.cpu(), here.score_R, atol=1e-4, rtol=0)
