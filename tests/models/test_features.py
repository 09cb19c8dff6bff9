"""Sources that are features: every strategy decodes them, in every execution, and other shapes are refused."""

import pytest
import torch

from strategies import ModelConfig, Session, StrategyError, parse
from strategies import execution as execution_module
from strategies.models.kernels.execution import next_logits

SRC_LEN, BATCH, TARGET = 7, 2, 9
WHISPER = ModelConfig(
    vocab_size=43,
    d_model=24,
    num_heads=3,
    d_kv=8,
    d_ff=40,
    encoder_layers=1,
    decoder_layers=2,
    architecture="whisper",
    mel_bins=5,
    src_positions=SRC_LEN,
    tgt_positions=20,
    start_id=2,
)


def features(seed=0):
    return torch.randn(BATCH, 5, 2 * SRC_LEN, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model(build):
    return build(WHISPER)


@pytest.fixture(scope="module")
def case(model):
    """Tokens [B, N] and the logits [B, N, V] of the teacher-forced pass."""
    token_BN = torch.randint(WHISPER.vocab_size, (BATCH, TARGET), generator=torch.Generator().manual_seed(1))
    logits_BNV = model(features(), None, token_BN)
    assert logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    return token_BN, logits_BNV


def steps(model, strategy, token_BN):
    session = Session(model, strategy, BATCH, SRC_LEN, TARGET)
    session.prefill(features())
    return torch.stack([session.step(token_B).clone() for token_B in token_BN.T], dim=1)


def test_each_step_on_features_equals_teacher_forcing(model, strategy, case):
    token_BN, logits_BNV = case
    torch.testing.assert_close(steps(model, strategy, token_BN), logits_BNV, rtol=5e-5, atol=5e-5)


def test_the_logits_depend_on_the_features(model, case):
    token_BN, logits_BNV = case
    assert (model(features(seed=1), None, token_BN) - logits_BNV).abs().max() > 0.1


def test_a_step_is_prepared_on_placeholder_features_and_gets_no_mask(model, case, monkeypatch):
    """Features are never padded. The compiler is left out here, as its code is tested elsewhere."""
    masks = []

    def watched(model, token_BT, step, attended):
        masks.append(attended.source_bias)
        return next_logits(model, token_BT, step, attended)

    monkeypatch.setattr(execution_module, "Compiled", lambda key: watched)
    token_BN, logits_BNV = case
    strategy = parse("static_kv(execution=compiled,read=bucket)")
    torch.testing.assert_close(steps(model, strategy, token_BN), logits_BNV, rtol=5e-5, atol=5e-5)
    assert set(masks) == {None}


@pytest.mark.parametrize(
    "source", [torch.ones(BATCH, SRC_LEN, dtype=torch.int64), torch.ones(BATCH, 5, SRC_LEN), torch.ones(1, 5, 14)]
)
def test_sources_of_another_shape_are_refused(model, source):
    session = Session(model, parse("contiguous_kv"), BATCH, SRC_LEN, TARGET)
    with pytest.raises(StrategyError) as caught:
        session.prefill(source)
    assert str(caught.value) == f"sources of shape {list(source.shape)} in a session for [2, 5, 14]"


def test_features_of_whole_numbers_or_with_a_mask_are_refused(model):
    session = Session(model, parse("contiguous_kv"), BATCH, SRC_LEN, TARGET)
    with pytest.raises(StrategyError, match=r"features of type torch\.int64; give a floating-point type"):
        session.prefill(features().long())
    with pytest.raises(StrategyError, match="leave src_mask_BS out"):
        session.prefill(features(), torch.ones(BATCH, SRC_LEN, dtype=torch.bool))


def test_a_session_of_another_source_length_is_refused(model):
    with pytest.raises(StrategyError, match="features of exactly 7 positions; give src_len=7"):
        Session(model, parse("contiguous_kv"), BATCH, SRC_LEN - 1, TARGET)
