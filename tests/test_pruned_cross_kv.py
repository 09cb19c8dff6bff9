"""Pruned cross-attention beside a plain reference, which masks what is dropped and counts probabilities one by one."""

import math

import pytest
import torch
from torch import Tensor

from strategies import Session, parse
from strategies.models import traffic
from suites.probes import peak_memory, record
from tests.fake_cuda import fake_cuda

BATCH, SRC_LEN, STEPS = 2, 7, 6
SOURCE_LENGTHS = (SRC_LEN, 3)
NEAR = {"rtol": 1e-5, "atol": 1e-5}
MOST_NEGATIVE = torch.finfo(torch.float32).min
DRAW = torch.Generator().manual_seed(4)
SRC_BS = torch.randint(2, 29, (BATCH, SRC_LEN), generator=DRAW)
MASK_BS = torch.arange(SRC_LEN) < torch.tensor(SOURCE_LENGTHS)[:, None]
FED_NX = torch.randint(2, 29, (STEPS, 3 * BATCH), generator=DRAW)
PARENT_NBW = torch.randint(0, 3, (STEPS, BATCH, 3), generator=DRAW)


class Reference:
    """Takes the place of pruning in the cross-attention of one layer of a session of ``static_kv``."""

    def __init__(self, attention, keep: float, observe: int):
        self.attention, self.keep, self.observe = attention, keep, observe
        self.worth = [[0.0] * SRC_LEN for _ in range(BATCH)]
        self.steps, self.kept = 0, []

    def __call__(self, module, given):
        x_X1D, source, bias = given
        self.steps += 1
        if self.steps <= self.observe:
            self.count(x_X1D, source, bias)
            return None
        if not self.kept:
            self.kept = [self.most_attended(row) for row in range(BATCH)]
        dropped = [[s not in kept for s in range(SRC_LEN)] for kept in self.kept]
        bias = torch.zeros(BATCH, 1, 1, SRC_LEN) if bias is None else bias
        return x_X1D, source, bias.masked_fill(torch.tensor(dropped)[:, None, None], MOST_NEGATIVE)

    def count(self, x_X1D: Tensor, source, bias: Tensor | None):
        attention, size = self.attention, self.attention.head_size
        q_XI = attention.q(x_X1D)[:, 0]
        k_BGSK, _, _ = source.get(q_XI, bias)
        for x in range(len(q_XI)):
            sentence = x * BATCH // len(q_XI)
            for head in range(attention.heads):
                k_SK = k_BGSK[sentence, head * attention.kv_heads // attention.heads]
                score_S = attention.scale * k_SK @ q_XI[x, head * size : (head + 1) * size]
                if bias is not None:
                    score_S = score_S.masked_fill(~MASK_BS[sentence], -math.inf)
                for s, probability in enumerate(score_S.softmax(0).tolist()):
                    self.worth[sentence][s] += probability

    def most_attended(self, row: int) -> list[int]:
        by_worth = sorted(range(SRC_LEN), key=lambda s: -self.worth[row][s])
        return by_worth[: math.ceil(self.keep * SRC_LEN)]


def decode(model, label: str, beams: int = 1, mask_BS: Tensor | None = MASK_BS, steps: int = STEPS) -> Tensor:
    """Logits [N, X, V] of a session that is fed ``FED_NX`` and, with beams, reordered by ``PARENT_NBW``."""
    session = Session(model, parse(label), BATCH, SRC_LEN, steps, beams=beams)
    session.prefill(SRC_BS, mask_BS)
    return stepped(session)


def stepped(session: Session) -> Tensor:
    found = []
    for n in range(session.max_new):
        if n:
            session.select(PARENT_NBW[n - 1][:, : session.beams])
        found.append(session.step(FED_NX[n, : session.rows]).clone())
    return torch.stack(found)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(("keep", "observe"), [(0.5, 4), (0.25, 1), (0.8, 2)])
@pytest.mark.parametrize("mask_BS", [None, MASK_BS], ids=["full", "padded"])
def test_logits_are_those_of_masking_the_least_attended_positions(
    tiny_model, architecture, beams, keep, observe, mask_BS
):
    model = tiny_model(architecture)
    found_NXV = decode(model, f"pruned_cross_kv(keep={keep},observe={observe})", beams, mask_BS)
    attentions = [layer.cross_attn for layer in model.decoder.layers]
    references = [Reference(attention, keep, observe) for attention in attentions]
    pairs = zip(attentions, references, strict=True)
    hooks = [attention.register_forward_pre_hook(reference) for attention, reference in pairs]
    try:
        expected_NXV = decode(model, "static_kv", beams, mask_BS)
    finally:
        for hook in hooks:
            hook.remove()
    torch.testing.assert_close(found_NXV, expected_NXV, **NEAR)


def test_what_is_dropped_changes_the_logits_from_the_next_step_on(tiny_model, architecture):
    model = tiny_model(architecture)
    exact_NBV = decode(model, "full_recompute")
    found_NBV = decode(model, "pruned_cross_kv(keep=0.25,observe=2)")
    torch.testing.assert_close(found_NBV[:2], exact_NBV[:2], **NEAR)
    for step in range(2, STEPS):
        assert not torch.allclose(found_NBV[step], exact_NBV[step], **NEAR), step


@pytest.mark.parametrize("beams", [1, 3])
def test_keeping_everything_equals_static_kv(tiny_model, architecture, beams):
    model = tiny_model(architecture)
    found, expected = (decode(model, label, beams) for label in ("pruned_cross_kv(keep=1)", "static_kv"))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_target_of_the_observed_steps_equals_full_recompute_and_nothing_is_observed(tiny_model, architecture):
    model, strategy = tiny_model(architecture), parse("pruned_cross_kv")
    expected_NBV = decode(model, "full_recompute", steps=4)
    torch.testing.assert_close(decode(model, "pruned_cross_kv", steps=4), expected_NBV, **NEAR)
    assert [strategy.bind(4).cross_keys_observed(k, SRC_LEN) for k in range(1, 5)] == [0] * 4
    assert [strategy.bind(4).cross_keys_read(k, SRC_LEN) for k in range(1, 5)] == [SRC_LEN] * 4
    assert [strategy.bind(5).cross_keys_observed(k, SRC_LEN) for k in range(1, 6)] == [SRC_LEN] * 4 + [0]
    assert [strategy.bind(5).cross_keys_read(k, SRC_LEN) for k in range(1, 6)] == [SRC_LEN] * 4 + [4]


def test_a_second_prefill_starts_afresh(tiny_model, architecture):
    model, strategy = tiny_model(architecture), parse("pruned_cross_kv(keep=0.25,observe=2)")
    used, fresh = (Session(model, strategy, BATCH, SRC_LEN, STEPS) for _ in range(2))
    used.prefill(SRC_BS, MASK_BS)
    before_NBV = stepped(used)
    for session in (used, fresh):
        session.prefill(SRC_BS.flip(0, 1))
    after_NBV = stepped(used)
    assert torch.equal(after_NBV, stepped(fresh))
    assert not torch.allclose(after_NBV, before_NBV, **NEAR)


@pytest.mark.parametrize("beams", [1, 3])
def test_the_bytes_that_persist_fall_as_the_facts_say(tiny_model, architecture, beams):
    model, strategy = tiny_model(architecture), parse("pruned_cross_kv(observe=2)")
    session = Session(model, strategy, BATCH, SRC_LEN, STEPS, beams=beams)
    found, alive = [], []
    with peak_memory("cpu") as memory:
        session.prefill(SRC_BS, MASK_BS)
        for n in range(STEPS):
            if n:
                session.select(PARENT_NBW[n - 1][:, :beams])
            session.step(FED_NX[n, : session.rows])
            found.append(session.nbytes.cross)
            alive.append(memory.live_bytes)
    kept = [session.strategy.cross_keys_read(k, SRC_LEN) for k in range(1, STEPS + 1)]
    assert kept == [7, 7, 4, 4, 4, 4]
    assert found == [traffic.kv_bytes(model.config, BATCH, rows, 4) for rows in kept]
    # In each layer, the sums of 7 positions are freed, too, and a mask of 4 is made.
    sums_and_mask = 4 * BATCH * (7 - 4) * model.config.decoder_layers
    assert alive[1] - alive[2] == found[1] - found[2] + sums_and_mask
    assert alive[2:] == [alive[2]] * 4


def test_observing_reads_k_once_more_and_copies_nothing_and_pruning_copies_what_is_kept(tiny_model, architecture):
    model = tiny_model(architecture)
    config, layers = model.config, model.config.decoder_layers
    session = Session(model, parse("pruned_cross_kv(observe=2)"), BATCH, SRC_LEN, 4, beams=3)
    session.prefill(SRC_BS)
    scores, copied = [], []
    for n in range(4):
        if n:
            session.select(PARENT_NBW[n - 1])
        with record(model) as recording:
            session.step(FED_NX[n])
        found = [r for r in recording.products if r.product.role == "decoder.cross_attn.read.scores"]
        scores.append([(r.product.batch, r.product.rows, r.product.cols, r.operand_bytes) for r in found])
        reads = [copy for copy in recording.copies if copy.role == "decoder.cross_attn.read"]
        copied.append(sum(copy.written_bytes for copy in reads))
    k_bytes = 4 * BATCH * config.kv_inner * SRC_LEN
    once = (BATCH * config.kv_heads, 3 * config.group, SRC_LEN, k_bytes)
    assert scores == [[once] * layers, [once] * layers, [], []]
    assert copied == [0, 0, traffic.kv_bytes(config, BATCH, 4, 4), 0]


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
def test_it_neither_leaves_the_device_nor_asks_it_for_a_value(tiny_model, architecture, dtype, beams):
    """On fake tensors, which have no values: a wait of the host for one is an error."""
    with fake_cuda(tiny_model(architecture, dtype, decoder_layers=1)) as model:
        session = Session(model, parse("pruned_cross_kv(observe=1)"), BATCH, SRC_LEN, 3, beams=beams)
        src_BS = torch.zeros(BATCH, SRC_LEN, dtype=torch.int64, device="cuda")
        session.prefill(src_BS, torch.ones_like(src_BS, dtype=torch.bool))
        for n in range(3):
            if n:
                session.select(torch.zeros(BATCH, beams, dtype=torch.int64, device="cuda"))
            logits_XV = session.step(torch.zeros(BATCH * beams, dtype=torch.int64, device="cuda"))
        assert (logits_XV.device.type, logits_XV.dtype) == ("cuda", dtype)
        assert session.nbytes.cross == traffic.kv_bytes(model.config, BATCH, 4, dtype.itemsize)


def test_half_precision_keeps_padding_out(tiny_model, architecture):
    """The most negative number of float16 is near, and what is added to it must not overflow to what is not finite."""
    exact = decode(tiny_model(architecture), "pruned_cross_kv(observe=2)")
    half = decode(tiny_model(architecture, torch.float16), "pruned_cross_kv(observe=2)")
    assert half.isfinite().all()
    torch.testing.assert_close(half.float(), exact, rtol=2e-2, atol=2e-2)
