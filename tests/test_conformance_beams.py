"""The kit for beams: every strategy, with every option of beams, where W sequences of a sentence are reordered.

Beams are fed tokens and parents drawn at random, so that every order comes up, copies and losses among them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from strategies import SearchError, Session, Strategy, StrategyError, greedy, parse, registry
from strategies.models import costs, traffic
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.strategy import SHIPPED
from suites.probes import peak_memory, record, role_bytes, tally
from tests.conftest import TARGET, every_strategy
from tests.kit import cross_bytes, drops_keys_of_the_source, notes_bytes, self_bytes, step_shape

BATCH, SRC_LEN, BEAMS = 2, 5, 3
ROWS = BATCH * BEAMS
SOURCE_LENGTHS = (SRC_LEN, 3)
NEAR = {"rtol": 1e-5, "atol": 1e-5}


@dataclass(frozen=True)
class Case:
    """A padded batch, tokens and parents of each step, and the logits of the histories that they make."""

    model: EncoderDecoder
    src_BS: Tensor
    mask_BS: Tensor
    fed_NX: Tensor
    parent_NBW: Tensor
    logits_NXV: Tensor


def histories(fed_NX: Tensor, parent_NBW: Tensor) -> list[Tensor]:
    """The tokens that each row was fed up to each step, int64 [X, k]."""
    found, held_Xk = [], fed_NX.new_empty(ROWS, 0)
    for token_X, parent_BW in zip(fed_NX, parent_NBW, strict=True):
        held_Xk = torch.cat((held_Xk, token_X[:, None]), 1)
        found.append(held_Xk)
        held_Xk = held_Xk[(parent_BW + torch.arange(BATCH)[:, None] * BEAMS).flatten()]
    return found


@pytest.fixture(scope="module")
def case(architecture, tiny_model) -> Case:
    """By teacher forcing: each history alone, without a cache and without a step before."""
    model, draw = tiny_model(architecture), torch.Generator().manual_seed(3)
    vocabulary = model.config.vocab_size
    src_BS = torch.randint(2, vocabulary, (BATCH, SRC_LEN), generator=draw)
    mask_BS = torch.arange(SRC_LEN) < torch.tensor(SOURCE_LENGTHS)[:, None]
    fed_NX = torch.randint(2, vocabulary, (TARGET, ROWS), generator=draw)
    parent_NBW = torch.randint(0, BEAMS, (TARGET, BATCH, BEAMS), generator=draw)
    sources = src_BS.repeat_interleave(BEAMS, 0), mask_BS.repeat_interleave(BEAMS, 0)
    with torch.no_grad():
        logits = [model(*sources, held_Xk)[:, -1] for held_Xk in histories(fed_NX, parent_NBW)]
    return Case(model, src_BS, mask_BS, fed_NX, parent_NBW, torch.stack(logits))


def prefilled(strategy: Strategy, case: Case, model: EncoderDecoder | None = None) -> Session:
    session = Session(model or case.model, strategy, BATCH, SRC_LEN, TARGET, beams=BEAMS)
    session.prefill(case.src_BS, case.mask_BS)
    return session


def decode(session: Session, case: Case) -> Tensor:
    """Logits [N, X, V] of a prefilled session that is fed these tokens and parents."""
    found = []
    for n, token_X in enumerate(case.fed_NX):
        if n:
            session.select(case.parent_NBW[n - 1])
        found.append(session.step(token_X).clone())
    return torch.stack(found)


@pytest.fixture
def exactly(architecture, tiny_model, case):
    """``exactly(strategy)``: the model, in float64 for an approximate strategy."""
    return lambda strategy: case.model if strategy.exact else tiny_model(architecture, torch.float64)


def alone(strategy: Strategy, case: Case, model: EncoderDecoder) -> Tensor:
    """Logits [N, X, V] of the histories, each decoded by this strategy from its first step, without beams."""
    found = []
    for held_Xk in histories(case.fed_NX, case.parent_NBW):
        session = Session(model, strategy, ROWS, SRC_LEN, TARGET)
        session.prefill(*(given.repeat_interleave(BEAMS, 0) for given in (case.src_BS, case.mask_BS)))
        found.append([session.step(token_X).clone() for token_X in held_Xk.T][-1])
    return torch.stack(found)


def test_logits_are_those_of_each_history_in_a_first_batch_and_in_a_second(beam_strategy, case, exactly):
    """Where keys of the source are dropped, by what all beams of a sentence attend to, no beam is as it is alone."""
    if drops_keys_of_the_source(beam_strategy.bind(TARGET), TARGET, SRC_LEN):
        pytest.skip("beams of a sentence decide together which keys of the source stay")
    model = exactly(beam_strategy)
    session = prefilled(beam_strategy, case, model)
    decode(session, replace(case, parent_NBW=case.parent_NBW.flip(0)))
    session.prefill(case.src_BS, case.mask_BS)
    expected_NXV = case.logits_NXV if beam_strategy.exact else alone(beam_strategy, case, model)
    torch.testing.assert_close(decode(session, case), expected_NXV, **NEAR)


def test_beams_that_change_places_are_as_if_each_had_been_in_its_last_place_from_the_start(
    beam_strategy, case, exactly
):
    draw, first_B1 = torch.Generator().manual_seed(4), torch.arange(BATCH)[:, None] * BEAMS
    order_NBW = torch.stack(
        [torch.stack([torch.randperm(BEAMS, generator=draw) for _ in range(BATCH)]) for _ in range(TARGET)]
    )
    model = exactly(beam_strategy)
    moving_NXV = decode(prefilled(beam_strategy, case, model), replace(case, parent_NBW=order_NBW))
    # Where the row that ends in place x was at each step: going back from the last, its parent.
    place_X, places = torch.arange(ROWS), []
    for order_BW in order_NBW[: TARGET - 1].flip(0):
        places.insert(0, place_X)
        place_X = (order_BW + first_B1).flatten()[place_X]
    places.insert(0, place_X)
    fed_NX = torch.stack([token_X[at_X] for token_X, at_X in zip(case.fed_NX, places, strict=True)])
    own_NBW = torch.arange(BEAMS).expand(TARGET, BATCH, BEAMS)
    still_NXV = decode(prefilled(beam_strategy, case, model), replace(case, fed_NX=fed_NX, parent_NBW=own_NBW))
    expected_NXV = torch.stack([logits_XV[at_X] for logits_XV, at_X in zip(moving_NXV, places, strict=True)])
    torch.testing.assert_close(still_NXV, expected_NXV, **NEAR)


def test_parents_matter(case):
    own = replace(case, parent_NBW=torch.arange(BEAMS).expand(TARGET, BATCH, BEAMS))
    assert not torch.allclose(decode(prefilled(parse("contiguous_kv"), case), own), case.logits_NXV, **NEAR)


def test_recorded_products_and_bytes_of_beams_are_those_of_the_formulas(beam_strategy, case):
    session, config = prefilled(beam_strategy, case), case.model.config
    bound, element = session.strategy, traffic.ElementBytes(4)
    for k, token_X in enumerate(case.fed_NX, start=1):
        with record(case.model) as recording:
            if k > 1:
                session.select(case.parent_NBW[k - 2])
            session.step(token_X)
        shape = step_shape(config, bound, k, BATCH, SRC_LEN, BEAMS)
        assert tally(recording.products) == sorted(costs.step(config, shape)), f"step {k}"
        expected = traffic.role_bytes(config, shape, element)
        nothing = {role for role, found in expected.items() if role.endswith(".select") and not found.total}
        assert role_bytes(recording) == {r: b for r, b in expected.items() if r not in nothing}, f"step {k}"


def test_prefill_runs_once_per_sentence_whatever_each_beam_keeps(beam_strategy, case):
    session, config = prefilled(beam_strategy, case), case.model.config
    with record(case.model) as recording:
        session.prefill(case.src_BS, case.mask_BS)
    once = costs.cross_projection(config, BATCH, SRC_LEN) if beam_strategy.cross == "cached" else []
    assert tally(recording.products) == sorted(costs.encoder(config, BATCH, SRC_LEN) + once)


def test_reserved_and_used_bytes_of_beams_are_those_of_the_formulas(beam_strategy, case):
    session, config = prefilled(beam_strategy, case), case.model.config
    bound = session.strategy
    for k, token_X in enumerate(case.fed_NX, start=1):
        if k > 1:
            session.select(case.parent_NBW[k - 2])
        session.step(token_X)
        held = session.nbytes
        assert (held.self_reserved, held.self_used) == self_bytes(config, bound, k, BATCH, BEAMS), f"step {k}"
        assert held.cross == cross_bytes(config, bound, k, BATCH, SRC_LEN, BEAMS), f"step {k}"


def test_live_memory_of_beams_grows_from_step_to_step_by_the_reserved_rows_and_nothing_else(beam_strategy, case):
    session, config = prefilled(beam_strategy, case), case.model.config
    bound = session.strategy
    with peak_memory("cpu") as memory:
        session.prefill(case.src_BS, case.mask_BS)
        grown = []
        for k, token_X in enumerate(case.fed_NX, start=1):
            if k > 1:
                session.select(case.parent_NBW[k - 2])
            session.step(token_X)
            kept = self_bytes(config, bound, k, BATCH, BEAMS)[0] + cross_bytes(config, bound, k, BATCH, SRC_LEN, BEAMS)
            grown.append(memory.live_bytes - kept)
    assert max(grown) - min(grown) <= notes_bytes(config, bound, TARGET, BATCH, SRC_LEN, BEAMS)


def test_every_strategy_of_this_package_can_be_reordered():
    shipped = {entry.make() for entry in registry().values() if entry.strategy.__module__ in SHIPPED}
    assert shipped <= set(every_strategy(beams=True))


def test_a_buffer_that_is_copied_has_two_addresses_and_no_third(case):
    session, found = prefilled(parse("static_kv(read=buffer)"), case), []
    for n, token_X in enumerate(case.fed_NX):
        if n:
            session.select(case.parent_NBW[n - 1])
        with record(case.model) as recording:
            session.step(token_X)
        attended = [r for r in recording.products if r.product.role == "decoder.self_attn.scores"]
        found.append([r.operand_address for r in attended])
    assert found[0] == found[2] == found[4] != found[1] == found[3] == found[5]


@pytest.mark.parametrize(
    ("architecture", "label"),
    [
        ("t5", "static_kv(read=bucket,reorder=table,execution=compiled)"),
        ("t5", "contiguous_kv(execution=compiled)"),
        ("transformer2017", "static_kv(read=bucket,execution=compiled)"),
        ("transformer2017", "contiguous_kv(execution=compiled,cross_beams=expanded)"),
    ],
    indirect=["architecture"],
    scope="module",
)
def test_compiled_steps_follow_the_beams(label, case):
    """Each way to reorder once, and each strategy with both architectures: compiling is slow."""
    torch.testing.assert_close(decode(prefilled(parse(label), case), case), case.logits_NXV, **NEAR)


def test_a_step_without_select_before_it_and_a_select_out_of_place_are_refused(case):
    session = Session(case.model, parse("contiguous_kv"), BATCH, SRC_LEN, 2, beams=BEAMS)
    session.prefill(case.src_BS, case.mask_BS)
    with pytest.raises(StrategyError, match=r"select\(parent_BW\) is called once after each step but the last"):
        session.select(case.parent_NBW[0])
    session.step(case.fed_NX[0])
    with pytest.raises(StrategyError, match=r"step 2 of 3 beams without select\(parent_BW\) before it"):
        session.step(case.fed_NX[1])
    session.select(case.parent_NBW[0])
    session.step(case.fed_NX[1])
    with pytest.raises(StrategyError, match=r"parents of shape \[2, 2\] .* 3 beams of 2 sentences; give \[2, 3\]"):
        session.select(case.parent_NBW[1, :, :2])
    with pytest.raises(StrategyError, match="leave this call out"):
        session.select(case.parent_NBW[1])


def test_one_beam_needs_no_select(case):
    session = Session(case.model, parse("contiguous_kv"), BATCH, SRC_LEN, 2)
    session.prefill(case.src_BS, case.mask_BS)
    session.step(case.fed_NX[0, :BATCH])
    session.select(torch.zeros(BATCH, 1, dtype=torch.int64))
    session.step(case.fed_NX[1, :BATCH])


def test_tokens_of_another_shape_are_refused(case):
    session = prefilled(parse("full_recompute"), case)
    with pytest.raises(StrategyError, match=r"tokens of shape \[1\] in a session of 6 rows; give one for each"):
        session.step(case.fed_NX[0, :1])


def test_greedy_search_is_refused_where_there_are_several_beams(case):
    with pytest.raises(SearchError, match="greedy search has one beam, and this session has 3"):
        greedy(prefilled(parse("contiguous_kv"), case))
