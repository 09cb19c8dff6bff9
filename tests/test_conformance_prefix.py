"""A decoder prefix of several forced tokens, under every strategy: prefill feeds all but the last of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from strategies import ModelConfig, ModelSpec, Session, StrategyError, greedy, load_model, parse
from strategies.models import costs, traffic
from strategies.prefix import prefix_rows
from suites.probes import record, role_bytes, tally
from suites.settings.cells import make_cell
from suites.settings.config import RunConfig
from suites.work.formulas import formulas
from suites.work.steps import facts_at, prefix_facts
from tests.conftest import SHAPE, TARGET
from tests.kit import cross_bytes, drops_keys_of_the_source, self_bytes, step_shape

BATCH, SRC_LEN, FREE = 2, 7, 4
PREFIX = (0, 9, 17)
NEAR = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def model():
    """A model with learned positions, whose table a prefix moves along."""
    own = {"architecture": "bart", "src_positions": SRC_LEN, "tgt_positions": TARGET, "prefix_ids": PREFIX[1:]}
    return load_model(ModelSpec("tiny", "random", shape=tuple(sorted({**SHAPE, **own}.items()))))


@pytest.fixture(scope="module")
def given(model):
    """Sources, tokens that follow the prefix, and the logits of the teacher-forced pass at these."""
    draw = torch.Generator().manual_seed(3)
    src_BS, token_BN = (torch.randint(2, 29, (BATCH, n), generator=draw) for n in (SRC_LEN, FREE))
    whole_BN = torch.cat([torch.tensor(PREFIX).expand(BATCH, -1), token_BN[:, :-1]], 1)
    with torch.no_grad():
        return src_BS, token_BN, model(src_BS, None, whole_BN)[:, len(PREFIX) - 1 :]


def products_of_prefill(config: ModelConfig, bound, beams: int = 1) -> list[costs.Product]:
    found = costs.encoder(config, BATCH, SRC_LEN)
    if bound.cross == "cached":
        found += costs.cross_projection(config, BATCH, SRC_LEN)
    if facts := prefix_facts(bound, len(PREFIX), SRC_LEN):
        shape = replace(step_shape(config, bound, 1, BATCH, SRC_LEN, beams), **facts._asdict())
        found += costs.prefix(config, shape)
    return found


def test_every_step_equals_the_teacher_forced_pass_and_the_work_is_that_of_the_formulas(strategy, model, given):
    src_BS, token_BN, expected_BNV = given
    config = model.config
    session = Session(model, strategy, BATCH, SRC_LEN, FREE)
    bound, first = session.strategy, len(PREFIX)
    with record(model) as recording:
        session.prefill(src_BS)
    assert costs.role_flops(tally(recording.products)) == costs.role_flops(products_of_prefill(config, bound))
    if facts := prefix_facts(bound, first, SRC_LEN):
        moved = role_bytes(recording)
        shape = replace(step_shape(config, bound, first, BATCH, SRC_LEN), **facts._asdict())
        expected = traffic.role_bytes(config, shape, traffic.ElementBytes(4))
        for role in ("decoder.self_attn.append", "decoder.self_attn.scores", "decoder.ffn.wi"):
            assert moved[role] == expected[role], role
    assert session.first_X.tolist() == [PREFIX[-1]] * BATCH
    logits, fed_B = [], session.first_X
    for n in range(FREE):
        k = first + n
        with record(model) as recording:
            logits.append(session.step(fed_B).clone())
        shape = replace(
            step_shape(config, bound, k, BATCH, SRC_LEN), **facts_at(bound, k, SRC_LEN, first=first)._asdict()
        )
        assert costs.role_flops(tally(recording.products)) == costs.role_flops(costs.step(config, shape))
        assert (session.nbytes.self_reserved, session.nbytes.self_used) == self_bytes(config, bound, k, BATCH)
        assert session.nbytes.cross == cross_bytes(config, bound, k, BATCH, SRC_LEN)
        fed_B = token_BN[:, n]
    if strategy.exact:
        torch.testing.assert_close(torch.stack(logits, 1), expected_BNV, **NEAR)
    elif not drops_keys_of_the_source(bound, TARGET, SRC_LEN):
        torch.testing.assert_close(logits[0], expected_BNV[:, 0], rtol=0, atol=1.0)


def test_beams_begin_with_the_same_prefix(exact_beam_strategy, model, given):
    src_BS, token_BN, expected_BNV = given
    session = Session(model, exact_beam_strategy, BATCH, SRC_LEN, FREE, beams=2)
    with record(model) as recording:
        session.prefill(src_BS)
    expected = products_of_prefill(model.config, session.strategy, beams=2)
    assert costs.role_flops(tally(recording.products)) == costs.role_flops(expected)
    fed_X = session.first_X
    for n in range(FREE):
        if n:
            session.select(session.own_BW().flip(1))
        logits_BWV = session.step(fed_X).view(BATCH, 2, -1)
        for beam in range(2):
            torch.testing.assert_close(logits_BWV[:, beam], expected_BNV[:, n], **NEAR)
        fed_X = token_BN[:, n].repeat_interleave(2)


def test_a_compiled_step_goes_on_after_a_prefix(model, given):
    src_BS, token_BN, expected_BNV = given
    session = Session(model, parse("static_kv(read=buffer,execution=compiled)"), BATCH, SRC_LEN, FREE)
    for _ in range(2):  # a second batch in the same buffers
        session.prefill(src_BS)
        fed_B = session.first_X
        for n in range(FREE):
            torch.testing.assert_close(session.step(fed_B), expected_BNV[:, n], **NEAR)
            fed_B = token_BN[:, n]


def test_a_prefix_may_be_given_for_each_sentence(model, given):
    src_BS, _, _ = given
    prefix_BP = torch.tensor([[0, 3], [0, 4]])
    sessions = [Session(model, parse(name), BATCH, SRC_LEN, FREE, prefix_len=2) for name in ("cross_kv", "paged_kv")]
    for session in sessions:
        session.prefill(src_BS, None, prefix_BP)
        assert session.first_X.tolist() == [3, 4]
    token_BN, other_BN = (torch.stack(list(greedy(session, "fixed")), 1) for session in sessions)
    assert torch.equal(token_BN, other_BN)
    assert token_BN.shape == (BATCH, FREE)
    with pytest.raises(StrategyError, match=r"prefix of shape \[2, 2\] was given one of shape \[2, 3\]"):
        sessions[0].prefill(src_BS, None, torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(StrategyError, match="decoder prefix holds ids outside 0 to"):
        sessions[0].prefill(src_BS, None, torch.full((2, 2), model.config.vocab_size))


def test_positions_of_the_model_are_not_exceeded(model):
    with pytest.raises(StrategyError, match=r"tgt_len=5, after 2 tokens of .* 6 positions; give tgt_len=4"):
        Session(model, parse("static_kv"), BATCH, SRC_LEN, FREE + 1)
    with pytest.raises(StrategyError, match=r"src_len=8 lies beyond the model's 7 positions"):
        Session(model, parse("static_kv"), BATCH, SRC_LEN + 1, FREE)


def test_a_strategy_that_would_lose_rows_of_the_prefix_is_refused():
    bound = parse("sliding_kv(window=1,sinks=1)").bind(9)
    assert prefix_rows(bound, 3) == 2
    with pytest.raises(StrategyError, match="4 tokens has 3 rows before the first step, and the strategy keeps 2"):
        prefix_rows(bound, 4)


def test_the_formulas_of_a_cell_count_the_prefix_at_prefill():
    shape = {"name": "tiny", "source": "random", **SHAPE}
    cell = make_cell(RunConfig(model=shape, src_len=SRC_LEN, tgt_len=FREE, batch_size=BATCH, device="cpu"))
    config = ModelConfig(**SHAPE, prefix_ids=(5, 6))
    longer = replace(cell, tgt_len=TARGET)
    for label in ("full_recompute", "contiguous_kv", "static_kv"):
        with_prefix, without = (
            formulas(config, cell, parse(label)),
            formulas(ModelConfig(**SHAPE), longer, parse(label)),
        )
        assert with_prefix.step_flops == without.step_flops[2:]
        assert with_prefix.self_kv_bytes == without.self_kv_bytes[2:]
        assert with_prefix.kv_reserved_bytes == without.kv_reserved_bytes
        fed = with_prefix.prefill_flops - without.prefill_flops
        head = 2 * BATCH * SHAPE["d_model"] * SHAPE["vocab_size"]
        # Two rows against two keys: the rows of steps 1 and 2, and the scores of row 1 with the key after it.
        masked = 2 * 2 * BATCH * SHAPE["num_heads"] * SHAPE["d_kv"] * SHAPE["decoder_layers"]
        assert fed == (0 if label == "full_recompute" else sum(without.step_flops[:2]) - 2 * head + masked)
