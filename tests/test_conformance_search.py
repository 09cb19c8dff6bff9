"""The kit for searches: under every strategy, and whatever its beams keep, each finds what it finds with the oracle."""

from __future__ import annotations

import pytest
import torch

from strategies import Session, parse
from strategies.search.begin import begin
from strategies.search.loop import decode
from strategies.search.options import Beam, Greedy, Sample
from tests.conftest import TARGET

BATCH, SRC_LEN = 3, 7
SOURCE_LENGTHS = (SRC_LEN, 4, 2)
SEARCHES = {
    "greedy": Greedy(),
    "beam": Beam(4, num_return=2),
    "beam, never": Beam(4, length_penalty=2.0, early_stopping="never"),
    "sample": Sample(temperature=2.0, top_k=8, top_p=0.9),
}


def found(model, strategy, search, stop):
    draw = torch.Generator().manual_seed(5)
    src_BS = torch.randint(2, model.config.vocab_size, (BATCH, SRC_LEN), generator=draw)
    session = Session(model, strategy, BATCH, SRC_LEN, TARGET, search.width)
    session.prefill(src_BS, torch.arange(SRC_LEN) < torch.tensor(SOURCE_LENGTHS)[:, None])
    searching = begin(search, model.config, BATCH, TARGET, stop, src_BS.device, seed=3)
    steps = len(list(decode(session, searching, stop)))
    return searching.sequences(), steps


@pytest.fixture(scope="module")
def spread(tiny_model):
    """A model whose sentences end apart: several ids end one, and the logits are spread."""
    return tiny_model("t5", seed=4, eos_id=1, other_eos_ids=(2, 3, 4))


@pytest.mark.parametrize("stop", ["eos", "fixed"])
@pytest.mark.parametrize("kind", SEARCHES)
def test_each_search_finds_the_oracles_sequences_and_scores(exact_beam_strategy, kind, stop, spread):
    search = SEARCHES[kind]
    mine, steps = found(spread, exact_beam_strategy, search, stop)
    theirs, as_many = found(spread, parse("full_recompute"), search, stop)
    assert torch.equal(mine.token_RN, theirs.token_RN)
    assert torch.equal(mine.length_R, theirs.length_R)
    assert steps == as_many
    if kind.startswith("beam"):
        torch.testing.assert_close(mine.score_R, theirs.score_R, rtol=1e-5, atol=1e-5)


def test_sentences_end_apart_and_later_than_the_search_of_fixed_length_allows(spread):
    lengths = found(spread, parse("full_recompute"), SEARCHES["beam"], "eos")[0].length_R
    assert lengths.unique().numel() > 1
    assert (found(spread, parse("full_recompute"), SEARCHES["beam"], "fixed")[0].length_R == TARGET).all()
