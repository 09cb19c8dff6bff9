"""Query heads that share K and V: each strategy against the model's own full pass, and that against multi-head."""

import dataclasses

import pytest
import torch

from strategies import ModelConfig, Session, parse
from strategies.models.attention import group_bias
from strategies.models.config import ModelError
from strategies.models.encoder_decoder import EncoderDecoder
from suites.probes import record

from .conftest import PAPER, STRATEGIES, T5

# H 6 in each; D 24 and K 5, so that neither H*K nor G*K is D.
SHARED = {
    f"{name} {kind}": dataclasses.replace(config, num_heads=6, num_kv_heads=kv_heads)
    for name, config in (("t5", T5), ("transformer2017", PAPER))
    for kind, kv_heads in (("grouped-query", 2), ("multi-query", 1))
}
SRC_LENS, TARGET_LEN = [9, 1, 4], 7
NEAR = {"rtol": 5e-5, "atol": 5e-5}


@pytest.fixture(params=SHARED.values(), ids=SHARED)
def shared(request) -> ModelConfig:
    return request.param


def test_every_strategy_equals_teacher_forcing(shared, build, batch, decode) -> None:
    model = build(shared)
    inputs = batch(shared, SRC_LENS, TARGET_LEN, seed=1)
    logits_BNV = model(*inputs)
    assert logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    for strategy in STRATEGIES:
        torch.testing.assert_close(
            decode(model, strategy, *inputs), logits_BNV, **NEAR, msg=lambda text, s=strategy: f"{s.label}: {text}"
        )


def multi_head_twin(model: EncoderDecoder) -> EncoderDecoder:
    """Multi-head, with each K/V head's weights and biases repeated for the query heads that share it."""
    config = model.config
    twin = EncoderDecoder(dataclasses.replace(config, num_kv_heads=None)).eval().requires_grad_(False)
    mine = dict(model.named_parameters())
    for name, parameter in twin.named_parameters():
        value = mine[name]
        if ".qkv." in name or ".kv." in name:
            q, *kv = value.split([value.shape[0] - 2 * config.kv_inner, config.kv_inner, config.kv_inner])
            heads = [part.unflatten(0, (config.kv_heads, config.d_kv)) for part in kv]
            value = torch.cat([q, *(part.repeat_interleave(config.group, 0).flatten(0, 1) for part in heads)])
        parameter.copy_(value)
    return twin


def test_it_equals_multi_head_attention_whose_heads_hold_the_same_k_and_v(shared, build, batch) -> None:
    """Which also says that query head h reads K/V head h // (H / G), with its own relative bias."""
    model = build(shared)
    inputs = batch(shared, SRC_LENS, TARGET_LEN, seed=2)
    torch.testing.assert_close(multi_head_twin(model)(*inputs), model(*inputs), **NEAR)


def test_as_many_kv_heads_as_heads_is_the_multi_head_model_to_the_bit(config, build, batch, decode) -> None:
    inputs = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    explicit = dataclasses.replace(config, num_kv_heads=config.num_heads)
    assert list(build(explicit).state_dict()) == list(build(config).state_dict())
    for strategy in STRATEGIES:
        logits = [decode(build(c), strategy, *inputs) for c in (config, explicit)]
        assert torch.equal(*logits)


@pytest.mark.parametrize("name", ["contiguous_kv", "static_kv", "static_kv(read=buffer)"])
def test_stores_hold_kv_heads_alone_and_attention_reads_them_where_they_lie(shared, build, name) -> None:
    """K/V bytes shrink by H / G, and no operator of a step writes as many rows of K/V as there are query heads."""
    model, steps = build(shared), 5
    session = Session(model, parse(name), 2, 9, steps)
    own = Session(multi_head_twin(model), parse(name), 2, 9, steps)
    token_B = torch.ones(2, dtype=torch.int64)
    for each in (session, own):
        each.prefill(torch.full((2, 9), 5))
        for _ in range(steps - 1):
            each.step(token_B)
    with record(model) as recording:
        session.step(token_B)
    own.step(token_B)
    group = shared.group
    held, of_each = session.nbytes, own.nbytes
    assert [group * held.self_reserved, group * held.self_used, group * held.cross] == [
        of_each.self_reserved, of_each.self_used, of_each.cross
    ]  # fmt: skip
    shapes = {(r.product.batch, r.product.rows) for r in recording.products if r.product.is_attention}
    assert shapes == {(2 * shared.kv_heads, group)}
    one_row_bytes = 2 * shared.inner * 4
    stored = max((c.written_bytes for c in recording.copies if c.operator == "cat"), default=0)
    assert all(c.written_bytes <= max(one_row_bytes, stored) for c in recording.copies)
    assert stored in (0, held.self_used // (2 * shared.decoder_layers))


def test_a_bias_for_each_head_is_viewed_and_one_for_all_is_kept_small() -> None:
    bias_1HTM = torch.randn(1, 6, 3, 4)
    grouped = group_bias(bias_1HTM, 3)
    assert grouped.shape == (1, 2, 9, 4)
    assert grouped.data_ptr() == bias_1HTM.data_ptr()
    assert torch.equal(grouped[0, 1, 3:6], bias_1HTM[0, 4])
    mask_11TM = torch.randn(1, 1, 3, 4)
    assert torch.equal(group_bias(mask_11TM, 2)[0, 0], torch.cat([mask_11TM[0, 0]] * 2))
    padding_B11S = torch.randn(2, 1, 1, 4)
    assert group_bias(padding_B11S, 3) is padding_B11S


@pytest.mark.parametrize("kv_heads", [4, 0, -3, 12, 1.5, True])
def test_a_number_that_does_not_divide_the_heads_gets_one_line(kv_heads) -> None:
    with pytest.raises(ModelError) as caught:
        dataclasses.replace(T5, num_heads=6, num_kv_heads=kv_heads)
    assert str(caught.value) == (f"num_kv_heads={kv_heads!r} does not divide num_heads=6; give one of 1, 2, 3, 6")
