"""A session, step by step, gives the logits of the teacher-forced pass: each architecture, strategy and dtype."""

from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ModelConfig, ModelSpec, Session, Strategy, StrategyError, load_model
from strategies.models.encoder_decoder import EncoderDecoder

FP32 = {"atol": 5e-5, "rtol": 5e-5}
BITS = {torch.bfloat16: 8, torch.float16: 11}
SRC_LENS, TARGET_LEN = [13, 1, 6], 18
Build = Callable[..., EncoderDecoder]


def random_spec(config: ModelConfig) -> ModelSpec:
    return ModelSpec("random", "random", shape=tuple(asdict(config).items()))


def test_each_step_equals_teacher_forcing(config: ModelConfig, strategy: Strategy, build: Build, batch, decode) -> None:
    model = build(config)
    inputs = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    logits_BNV = model(*inputs)
    assert logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    torch.testing.assert_close(decode(model, strategy, *inputs), logits_BNV, **FP32)


def test_each_step_equals_teacher_forcing_without_a_source_mask(
    config: ModelConfig, strategy: Strategy, build: Build, batch, decode
) -> None:
    model = build(config)
    src_BS, _, token_BN = batch(config, [7, 7], TARGET_LEN, seed=2)
    torch.testing.assert_close(decode(model, strategy, src_BS, None, token_BN), model(src_BS, None, token_BN), **FP32)


@pytest.mark.parametrize("dtype", BITS, ids=["bf16", "fp16"])
def test_in_half_precision_each_step_equals_teacher_forcing_up_to_rounding(
    config: ModelConfig, strategy: Strategy, dtype: torch.dtype, batch, decode
) -> None:
    model = load_model(random_spec(config), dtype)
    inputs = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    logits_BNV = model(*inputs)
    step_BNV = decode(model, strategy, *inputs)
    assert step_BNV.dtype == logits_BNV.dtype == dtype
    # One row and many rows take different kernels, which add in different orders, so that each of some ten roundings
    # on a row's way may fall to the other side: a few units in the last place of the largest logit.
    unit = float(logits_BNV.abs().max()) * 2.0 ** -BITS[dtype]
    torch.testing.assert_close(step_BNV.float(), logits_BNV.float(), atol=6 * unit, rtol=0)


@pytest.mark.parametrize(("dtype", "bits"), BITS.items(), ids=["bf16", "fp16"])
def test_half_precision_strays_from_float32_by_rounding_alone(
    config: ModelConfig, dtype: torch.dtype, bits: int, batch
) -> None:
    inputs = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    exact_BNV = load_model(random_spec(config))(*inputs)
    error_BNV = load_model(random_spec(config), dtype)(*inputs).float() - exact_BNV
    # Weights, and some ten products on a row's way, are rounded to ``bits`` bits.
    assert 0 < error_BNV.square().mean().sqrt() < 4 * 2.0**-bits * exact_BNV.std()


def test_float16_t5_survives_feed_forward_sums_beyond_its_range(
    t5: ModelConfig, strategy: Strategy, batch, decode
) -> None:
    model = load_model(random_spec(t5), torch.float16)
    largest = 0.0

    def observe(_module: object, _inputs: object, out: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, float(out.abs().max()))

    for layer in (*model.encoder.layers, *model.decoder.layers):
        layer.ffn.wo.weight.mul_(1e5)
        layer.ffn.wo.register_forward_hook(observe)
    inputs = batch(t5, SRC_LENS, TARGET_LEN, seed=1)
    step_BNV = decode(model, strategy, *inputs)
    assert largest > torch.finfo(torch.float16).max
    assert step_BNV.dtype == torch.float16
    logits_BNV = model(*inputs)
    assert logits_BNV.isfinite().all()
    unit = float(logits_BNV.abs().max()) * 2.0**-11
    torch.testing.assert_close(step_BNV.float(), logits_BNV.float(), atol=6 * unit, rtol=0)


def test_only_the_second_feed_forward_product_of_float16_t5_is_float32(config: ModelConfig) -> None:
    model = load_model(random_spec(config), torch.float16)
    wide = {name for name, parameter in model.named_parameters() if parameter.dtype != torch.float16}
    expected = {name for name, _ in model.named_parameters() if config.ffn_out_fp32 and name.endswith("ffn.wo.weight")}
    assert wide == expected
    whole = dict(load_model(random_spec(config)).named_parameters())
    assert all(torch.equal(model.get_parameter(name), whole[name]) for name in wide), "rounded on the way"


@st.composite
def small_models(draw: st.DrawFn) -> ModelConfig:
    """Either architecture with every size small and drawn on its own, so that H*K is seldom D, nor G often H."""
    t5 = draw(st.booleans())
    sizes = st.integers(1, 9)
    kv_heads = draw(st.integers(1, 3))
    return ModelConfig(
        vocab_size=draw(st.integers(4, 20)),
        d_model=draw(sizes) * (1 if t5 else 2),
        num_heads=kv_heads * draw(st.integers(1, 3)),
        num_kv_heads=kv_heads,
        d_kv=draw(sizes),
        d_ff=draw(sizes),
        encoder_layers=draw(st.integers(1, 2)),
        decoder_layers=draw(st.integers(1, 3)),
        architecture="t5" if t5 else "transformer2017",
        gated=t5 and draw(st.booleans()),
        tie_head=draw(st.booleans()),
        scale_head=draw(st.booleans()),
        relative_buckets=draw(st.integers(4, 9)),
        relative_max_distance=draw(st.integers(5, 12)),
        start_id=draw(st.integers(0, 3)),
    )


few_examples = settings(max_examples=20, deadline=None, derandomize=True, database=None)
any_small_batch = given(
    config=small_models(),
    src_lens=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    target_len=st.integers(1, 12),
    seed=st.integers(0, 99),
)


@few_examples
@any_small_batch
def test_every_strategy_equals_teacher_forcing_on_any_small_model(
    every_strategy, build: Build, batch, decode, config: ModelConfig, src_lens: list[int], target_len: int, seed: int
) -> None:
    model = build(config, seed)
    inputs = batch(config, src_lens, target_len, seed)
    logits_BNV = model(*inputs)
    for strategy in every_strategy:
        step_BNV = decode(model, strategy, *inputs)
        torch.testing.assert_close(step_BNV, logits_BNV, **FP32, msg=lambda text, s=strategy: f"{s.label}: {text}")


@few_examples
@any_small_batch
def test_each_row_of_a_padded_batch_equals_that_sentence_alone(
    every_strategy, build: Build, batch, decode, config: ModelConfig, src_lens: list[int], target_len: int, seed: int
) -> None:
    model = build(config, seed)
    src_BS, mask_BS, token_BN = batch(config, src_lens, target_len, seed)
    strategy = every_strategy[seed % len(every_strategy)]
    logits_BNV = decode(model, strategy, src_BS, mask_BS, token_BN)
    for row, length in enumerate(src_lens):
        alone_1NV = decode(model, strategy, src_BS[[row], :length], None, token_BN[[row]])
        torch.testing.assert_close(logits_BNV[[row]], alone_1NV, **FP32)


def test_a_later_token_never_changes_an_earlier_step(
    config: ModelConfig, strategy: Strategy, build: Build, batch, decode
) -> None:
    model = build(config)
    src_BS, mask_BS, token_BN = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    changed_BN = token_BN.clone()
    changed_BN[:, 9:] = (changed_BN[:, 9:] + 1) % config.vocab_size
    logits_BNV = decode(model, strategy, src_BS, mask_BS, token_BN)
    changed_BNV = decode(model, strategy, src_BS, mask_BS, changed_BN)
    torch.testing.assert_close(changed_BNV[:, :9], logits_BNV[:, :9], rtol=0, atol=0)
    assert ((changed_BNV[:, 9:] - logits_BNV[:, 9:]).abs().amax(dim=-1) > 1e-3).all()


@pytest.mark.parametrize("steps_before", [1, TARGET_LEN])
def test_a_second_batch_is_unaffected_by_the_first(
    config: ModelConfig, strategy: Strategy, steps_before: int, build: Build, batch, decode
) -> None:
    model = build(config)
    first, second = (batch(config, SRC_LENS, TARGET_LEN, seed) for seed in (1, 2))
    session = Session(model, strategy, *first[0].shape, TARGET_LEN)
    session.prefill(*first[:2])
    for token_B in first[2].T[:steps_before]:
        session.step(token_B)
    session.prefill(*second[:2])
    again_BNV = torch.stack([session.step(token_B).clone() for token_B in second[2].T], dim=1)
    torch.testing.assert_close(again_BNV, decode(model, strategy, *second), rtol=0, atol=0)


def test_a_mask_of_the_first_batch_does_not_stay_for_a_second_without_one(
    config: ModelConfig, strategy: Strategy, build: Build, batch, decode
) -> None:
    model = build(config)
    src_BS, mask_BS, token_BN = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    session = Session(model, strategy, *src_BS.shape, TARGET_LEN)
    session.prefill(src_BS, mask_BS)
    masked_BV = session.step(token_BN[:, 0]).clone()
    session.prefill(src_BS)
    unmasked_BV = session.step(token_BN[:, 0])
    assert (masked_BV - unmasked_BV).abs().max() > 1e-3
    torch.testing.assert_close(unmasked_BV, decode(model, strategy, src_BS, None, token_BN)[:, 0], rtol=0, atol=0)


@pytest.fixture
def session(config: ModelConfig, strategy: Strategy, build: Build) -> Session:
    return Session(build(config), strategy, 2, 5, 3)


def test_a_step_before_prefill_is_refused(session: Session) -> None:
    with pytest.raises(StrategyError, match=r"step before prefill; call prefill"):
        session.step(torch.zeros(2, dtype=torch.int64))


def test_a_step_past_the_target_length_is_refused_until_the_next_prefill(session: Session) -> None:
    src_BS, token_B = torch.ones(2, 5, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    session.prefill(src_BS)
    first_BV = session.step(token_B).clone()
    for _ in range(2):
        session.step(token_B)
    with pytest.raises(StrategyError, match="step 4 of a session for 3 tokens"):
        session.step(token_B)
    session.prefill(src_BS)
    torch.testing.assert_close(session.step(token_B), first_BV, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [[2, 4], [1, 5], [3, 5]])
def test_sources_of_another_shape_are_refused(config: ModelConfig, build: Build, every_strategy, shape) -> None:
    session = Session(build(config), every_strategy[0], 2, 5, 3)
    with pytest.raises(StrategyError) as caught:
        session.prefill(torch.ones(shape, dtype=torch.int64))
    assert f"{shape} in a session for [2, 5]" in str(caught.value)
