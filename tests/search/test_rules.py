"""Rules of choice: by hand on logits, and against ``generate()`` of transformers on a random T5."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from strategies import ModelConfig, ModelError, Session, parse
from strategies.search.begin import begin
from strategies.search.loop import decode
from strategies.search.options import Beam, Greedy, Sample, Search, Stop
from strategies.search.rules import Rules
from suites.measuring.divergence import Divergence

from .conftest import MAX_NEW, Checkpoint

CPU = torch.device("cpu")
CONFIG = ModelConfig(5, 8, 1, 8, 8, 1, 1, eos_id=1, suppress_ids=(4,), begin_suppress_ids=(3,), forced_eos_id=1)
ASCENDING_1V = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]])


def chosen(search: Search, stop: Stop, logits_XV: Tensor, steps: int = 3) -> list[list[int]]:
    """What a search finds that sees the same logits at each of its steps."""
    searching = begin(search, CONFIG, 1, steps, stop, CPU)
    for _ in range(steps):
        searching.choose(logits_XV.clone())
    searching.finish()
    return searching.sequences().token_RN.tolist()


@pytest.mark.parametrize("search", [Greedy(), Sample(0.01), Sample(0.01, top_k=2), Beam(1)])
def test_by_hand_each_rule_acts_at_its_own_steps(search: Search) -> None:
    assert chosen(search, "fixed", ASCENDING_1V) == [[2, 3, 3]]
    assert chosen(search, "eos", ASCENDING_1V) == [[2, 3, 1]]


def test_by_hand_two_beams_are_scored_without_the_end_that_was_forced() -> None:
    searching = begin(Beam(2, length_penalty=0.0, num_return=2), CONFIG, 1, 2, "eos", CPU)
    logits_XV = ASCENDING_1V.expand(2, -1)
    for _ in range(2):
        searching.choose(logits_XV.clone())
    searching.finish()
    found, logprob_V = searching.sequences(), ASCENDING_1V[0].log_softmax(0)
    assert found.token_RN.tolist() == [[2, 1], [1, 0]]
    torch.testing.assert_close(found.score_R, logprob_V[[2, 1]])


def test_the_best_by_the_rules_leaves_the_logits_as_they_are() -> None:
    rules, logits_XV = Rules(CONFIG, 3, "eos", CPU), ASCENDING_1V.clone()
    assert [rules.best(logits_XV, length).item() for length in (1, 2, 3)] == [2, 3, 1]
    assert torch.equal(logits_XV, ASCENDING_1V)


def test_approximate_strategies_are_compared_by_the_tokens_that_may_be_chosen() -> None:
    other_1V = ASCENDING_1V.clone()
    other_1V[0, 4] = -9
    judged = Divergence(Rules(CONFIG, 9, "eos", CPU))
    for _ in range(2):
        judged.add(ASCENDING_1V, other_1V)
    assert (judged.top1_equal, judged.rows) == (1, 2)
    assert judged.kl_nats > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suppress_ids": (0, 4), "begin_suppress_ids": (3, 2)}, "cover the whole vocabulary of 5"),
        ({"suppress_ids": (1, 4)}, "forced_eos_id=1 is one of suppress_ids"),
    ],
)
def test_rules_that_leave_nothing_to_choose_or_contradict_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(CONFIG, **changes)


@pytest.fixture(scope="module")
def ruled(checkpoint: Checkpoint) -> ModelConfig:
    """Rules against the ids that this model likes best, and an end that some rows come to and others do not."""
    config = replace(checkpoint.model.config, eos_id=0)
    first, any_step = Counter[int](), Counter[int]()
    for row in free(checkpoint, Greedy(), config, "fixed"):
        first.update(row[:1])
        any_step.update(row)
    suppressed = tuple(id for id, _ in any_step.most_common(3))
    begin_suppressed = tuple(id for id in first if id not in suppressed)
    config = replace(config, suppress_ids=suppressed, begin_suppress_ids=begin_suppressed)
    rows = free(checkpoint, Greedy(), config, "fixed")
    ends = [id for id in range(1, config.vocab_size) if 0 < sum(id in row[:-1] for row in rows) < len(rows)]
    return replace(config, eos_id=ends[0], forced_eos_id=ends[0])


def free(checkpoint: Checkpoint, search: Search, config: ModelConfig, stop: Stop) -> list[list[int]]:
    """What our search finds by the rules of ``config``."""
    session = Session(checkpoint.model, parse("contiguous_kv"), *checkpoint.src_BS.shape, MAX_NEW, search.width)
    session.prefill(checkpoint.src_BS, checkpoint.mask_BS)
    searching = begin(search, config, session.batch, MAX_NEW, stop, CPU)
    list(decode(session, searching, stop))
    found = searching.sequences()
    return [row[:end] for row, end in zip(found.token_RN.tolist(), found.length_R.tolist(), strict=True)]


@pytest.mark.parametrize("stop", ["eos", "fixed"])
@pytest.mark.parametrize("search", [Greedy(), Beam(4, num_return=4), Beam(3, 2.0, "never")], ids=["greedy", "4", "3"])
def test_tokens_are_those_of_generate_with_the_same_rules(
    checkpoint: Checkpoint, ruled: ModelConfig, search: Search, stop: Stop
) -> None:
    options: dict[str, Any] = {"num_beams": search.width, "num_return_sequences": search.returned}
    if isinstance(search, Beam):
        early = {"true": True, "false": False, "never": "never"}[search.early_stopping]
        options |= {"length_penalty": search.length_penalty, "early_stopping": early}
    if stop == "fixed":
        options["min_new_tokens"] = MAX_NEW
    else:
        options["forced_eos_token_id"] = ruled.forced_eos_id
    out = checkpoint.generate(
        suppress_tokens=list(ruled.suppress_ids),
        begin_suppress_tokens=list(ruled.begin_suppress_ids),
        eos_token_id=ruled.eos_id,
        **options,
    )
    rows = out.sequences[:, 1:].tolist()
    expected = [row[: row.index(ruled.eos_id) + 1] if ruled.eos_id in row else row for row in rows]
    found = free(checkpoint, search, ruled, stop)
    assert found == expected
    if stop == "fixed":
        assert {len(row) for row in found} == {MAX_NEW}
    else:
        assert {row[-1] for row in found} == {ruled.eos_id}
    assert found != free(checkpoint, search, replace(ruled, suppress_ids=()), stop)
    assert found != free(checkpoint, search, replace(ruled, begin_suppress_ids=()), stop)
