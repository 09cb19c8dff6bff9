"""A session, step by step, gives the logits of the teacher-forced pass: each architecture, strategy and dtype."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from strategies import ModelConfig, ModelSpec, Session, Strategy, StrategyError, load_model, parse
from strategies.models.encoder_decoder import EncoderDecoder

FP32 = {"atol": 5e-5, "rtol": 5e-5}
BITS = {torch.bfloat16: 8, torch.float16: 11}
SRC_LENS, TARGET_LEN = [13, 1, 6], 18
Batch = tuple[Tensor, Tensor, Tensor]


def test_each_step_equals_teacher_forcing(
    config: ModelConfig, strategy: Strategy, build: Callable[..., EncoderDecoder], batch, decode
) -> None:
    model = build(config)
    inputs = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    logits_BNV = model(*inputs)
    assert logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    torch.testing.assert_close(decode(model, strategy, *inputs), logits_BNV, **FP32)


def test_each_step_equals_teacher_forcing_without_a_source_mask(
    config: ModelConfig, strategy: Strategy, build: Callable[..., EncoderDecoder], batch, decode
) -> None:
    model = build(config)
    src_BS, _, token_BN = batch(config, [7, 7], TARGET_LEN, seed=2)
    torch.testing.assert_close(
        decode(model, strategy, src_BS, None, token_BN), model(src_BS, None, token_BN), **FP32
    )


@pytest.mark.parametrize("dtype", BITS, ids=["bf16", "fp16"])
def test_in_half_precision_each_step_equals_teacher_forcing_up_to_rounding(
    config: ModelConfig, strategy: Strategy, dtype: torch.dtype, batch, decode
) -> None:
    spec = ModelSpec("random", "random", shape=tuple(asdict(config).items()))
    inputs = batch(config, SRC_LENS, TARGET_LEN, seed=1)
    model = load_model(spec, dtype)
    logits_BNV = model(*inputs)
    step_BNV = decode(model, strategy, *inputs)
    assert step_BNV.dtype == logits_BNV.dtype == dtype
    err=(step_BNV.float()-logits_BNV.float()).abs().max()/(logits_BNV.float().abs().max()*2.0**-BITS[dtype])
    print("UNITS", err)
