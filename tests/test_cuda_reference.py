"""Low precision at 24 layers on a CUDA device, where one row is multiplied by other kernels than k rows are."""

import pytest
import torch

from strategies import DTYPES, ModelSpec, load_model, parse, select
from strategies.search.searching import Chosen
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import check
from suites.measuring.reference import RATIO, Reference, with_float32_decoder
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
DEVICE = "cuda"
SHAPE = {"vocab_size": 1000, "d_model": 256, "num_heads": 4, "d_kv": 64, "d_ff": 512, "encoder_layers": 24,
         "decoder_layers": 24}  # fmt: skip


@pytest.fixture(params=["t5", "transformer2017"])
def spec(request):
    return ModelSpec("deep", "random", shape=tuple(sorted({**SHAPE, "architecture": request.param}.items())))


def case(spec, dtype):
    cell = Cell(spec, 24, 24, 2, DEVICE, dtype, 1, 0, "fixed")
    model = load_model(spec, DTYPES[dtype], DEVICE)
    return cell, model, make_inputs(cell, model.config)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_strategies_are_about_as_near_to_float32_as_full_recompute(spec, dtype):
    cell, model, inputs = case(spec, dtype)
    executed = [parse("static_kv(read=buffer)").executed("graph")] if DEVICE == "cuda" else []
    arms = [StrategyArm(strategy, model, inputs, cell) for strategy in [*select("grid"), *executed]]
    oracle = next(arm for arm in arms if arm.label == "full_recompute")
    reference = Reference(oracle.strategy, model, inputs, cell)
    found = check(oracle, arms, dtype, oracle.search(), True, reference=reference)
    assert reference.reason == ""
    assert {arm.label: agreement.reason for arm, agreement in zip(arms, found, strict=True) if agreement.reason} == {}
    assert max(agreement.fp32_ratio for agreement in found) <= RATIO


def test_the_encoder_gives_the_same_bits_each_time(spec):
    """The reference reads the encoder's output from a pass of its own, and so does every strategy."""
    _, model, inputs = case(spec, "bf16")
    bias = model.source_bias(inputs.src_mask_BS)
    first_BSD, second_BSD = (model.encoder(inputs.source, bias) for _ in range(2))
    assert torch.equal(first_BSD, second_BSD)
    assert torch.equal(with_float32_decoder(model).encoder(inputs.source, bias), first_BSD.float())


def test_the_reference_steps_where_only_flash_attention_is_allowed():
    """Which does not take float32; what was allowed before is allowed again after it."""
    shape = tuple(sorted({**SHAPE, "architecture": "transformer2017"}.items()))
    cell, model, inputs = case(ModelSpec("deep", "random", shape=shape), "bf16")
    oracle = parse("full_recompute")
    reference = Reference(oracle, model, inputs, cell)
    reference.prefill()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        reference.step(Chosen(torch.zeros(2, dtype=torch.int64, device=DEVICE)))
        assert reference.reason == ""
        assert torch.backends.cuda.flash_sdp_enabled()
        assert not torch.backends.cuda.math_sdp_enabled()
