"""The cache in blocks: beams share full blocks, and rows are copied only within the last one."""

import pytest
import torch

from strategies import Session, StrategyError, parse
from suites.probes import record

BATCH, SRC_LEN, BEAMS, TARGET = 2, 4, 3, 11
ROWS = BATCH * BEAMS
NEAR = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def drawn():
    """Sources, tokens and parents of each step."""
    draw = torch.Generator().manual_seed(7)
    src_BS, fed_NX = (torch.randint(2, 29, size, generator=draw) for size in ((BATCH, SRC_LEN), (TARGET, ROWS)))
    return src_BS, fed_NX, torch.randint(0, BEAMS, (TARGET, BATCH, BEAMS), generator=draw)


def opened(label, model, src_BS, max_new=TARGET, beams=BEAMS):
    session = Session(model, parse(label), BATCH, SRC_LEN, max_new, beams=beams)
    session.prefill(src_BS)
    return session


def decoded(session, fed_NX, parent_NBW):
    """Logits of every step."""
    found = []
    for n, token_X in enumerate(fed_NX):
        if n:
            session.select(parent_NBW[n - 1])
        found.append(session.step(token_X).clone())
    return torch.stack(found)


@pytest.mark.parametrize("block", [1, 2, 3, 16])
def test_beams_that_share_blocks_give_the_logits_of_beams_that_share_nothing(block, tiny_model, drawn):
    src_BS, fed_NX, parent_NBW = drawn
    model = tiny_model("t5")
    paged, static = (opened(label, model, src_BS) for label in (f"paged_kv(block={block})", "static_kv"))
    decoded(paged, fed_NX, parent_NBW.flip(0))
    paged.prefill(src_BS)
    expected_NXV = decoded(static, fed_NX, parent_NBW)
    torch.testing.assert_close(decoded(paged, fed_NX, parent_NBW), expected_NXV, **NEAR)


@pytest.mark.parametrize("block", [1, 3, 4])
def test_it_copies_what_its_facts_say(block, tiny_model, drawn):
    src_BS, fed_NX, parent_NBW = drawn
    model, width = tiny_model("t5", num_heads=8, d_kv=16), 8 * 16  # wider than the table
    session = opened(f"paged_kv(block={block})", model, src_BS)
    facts = session.strategy

    def written(recording, place):
        """Rows of each sequence's K, or V, in one layer, and entries of its table, that were written in ``place``."""
        copies = [copy for copy in recording.copies if copy.role == f"decoder.self_attn.{place}"]
        rows = sum(copy.written_bytes for copy in copies if copy.shape[-1] == width)
        entries = sum(copy.written_bytes for copy in copies if copy.shape[-1] != width)
        return rows / (2 * 2 * width * 4 * ROWS), entries / (8 * ROWS)

    for k, token_X in enumerate(fed_NX, start=1):
        if before := k - 1:
            with record(model) as recording:
                session.select(parent_NBW[k - 2])
            moved = facts.rows_reordered(before), facts.entries_reordered(before)
            assert written(recording, "select") == moved == (2 * (before % block), 2 * (before // block)), f"step {k}"
        with record(model) as recording:
            session.step(token_X)
        assert written(recording, "append") == (1 + facts.rows_expanded(k), 0), f"step {k}"
        assert facts.rows_expanded(k) == -(-k // block) * block


def test_beams_of_one_parent_share_its_full_blocks_and_own_the_last(tiny_model, drawn):
    src_BS, fed_NX, _ = drawn
    first_NBW = torch.zeros(TARGET, BATCH, BEAMS, dtype=torch.int64)
    session = opened("paged_kv(block=4)", tiny_model("t5"), src_BS)
    decoded(session, fed_NX, first_NBW)
    assert session.blocks_in_use == (2 * BATCH + ROWS, 3 * ROWS)
    session.prefill(src_BS)
    decoded(session, fed_NX, torch.arange(BEAMS).expand(TARGET, BATCH, BEAMS))
    assert session.blocks_in_use == (3 * ROWS, 3 * ROWS)


def test_sequences_that_end_early_leave_blocks_unused(tiny_model, drawn):
    src_BS, fed_NX, _ = drawn
    session = opened("paged_kv(block=4,capacity=21)", tiny_model("t5"), src_BS, beams=1)
    assert session.blocks_in_use == (0, 6 * BATCH)
    for k, token_X in enumerate(fed_NX[:9, :BATCH], start=1):
        session.step(token_X)
        assert session.blocks_in_use == (-(-k // 4) * BATCH, 6 * BATCH)


def test_a_cache_without_blocks_tells_none(tiny_model, drawn):
    assert opened("static_kv", tiny_model("t5"), drawn[0]).blocks_in_use is None


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("paged_kv(block=0)", "paged_kv: block=0 is not allowed; give at least 1"),
        ("paged_kv(capacity=0)", "paged_kv: capacity=0 is not allowed; give at least 1"),
        ("paged_kv(capacity=10)", "paged_kv: capacity=10 cannot hold a target of 11 tokens; give capacity=11 or more"),
    ],
)
def test_options_that_fit_no_target_are_refused_in_one_line(label, told):
    with pytest.raises(StrategyError) as refused:
        parse(label).bind(TARGET)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_blocks_that_are_no_numbers_are_refused(tiny_model, monkeypatch):
    session = Session(tiny_model("t5"), parse("paged_kv"), 1, 3, 4)
    monkeypatch.setattr(type(session._stores[0]), "blocks_in_use", lambda self, length: "many")
    with pytest.raises(StrategyError, match="blocks_in_use gave 'many'; return two whole numbers"):
        _ = session.blocks_in_use
