"""Narrower weights on a CUDA device; skipped with the reason where there is none."""

import pandas as pd
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from strategies import ModelSpec, Session, load_model, parse
from strategies.models.head import Head
from strategies.models.kernels.narrow import use_weights
from strategies.models.kernels.packing import products
from strategies.models.kernels.quantise import quantise
from tests.command import small_model, suites

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
SHAPE = {"architecture": "t5", "vocab_size": 4000, "d_model": 512, "num_heads": 8, "d_kv": 64, "d_ff": 1024,
         "encoder_layers": 1, "decoder_layers": 2}  # fmt: skip
SPEC = ModelSpec("512 wide", "random", shape=tuple(sorted(SHAPE.items())))
EXECUTED = ["static_kv", "contiguous_kv", "static_kv(execution=graph,read=bucket)",
            "static_kv(execution=compiled,read=bucket)"]  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return load_model(SPEC, device="cuda")


@pytest.fixture(scope="module")
def int8():
    model = load_model(SPEC, device="cuda")
    use_weights(model, "int8")
    return model


def of(module):
    return module.project if isinstance(module, Head) else module.forward


@pytest.mark.parametrize(("rows", "relative"), [(1, 1e-3), (5, 2e-2)])
def test_int8_is_the_product_with_the_dequantised_weight(whole, int8, rows, relative):
    """One row in float32. More rows are rounded to bfloat16, as is their result."""
    draw = torch.Generator("cuda").manual_seed(0)
    for plain, module in zip(products(whole), products(int8), strict=True):
        int8_XD, scale_X = quantise(plain.weight, torch.bfloat16)
        x = torch.randn(rows, 1, plain.weight.shape[1], generator=draw, device="cuda")
        expected = x.double() @ (int8_XD.double() * scale_X.double()[:, None]).T
        if (bias := getattr(plain, "bias", None)) is not None:
            expected = expected + bias
        found = of(module)(x)
        assert (found.dtype, found.shape) == (torch.float32, expected.shape)
        assert (found - expected).abs().max() < relative * expected.abs().max()


def steps(model, label, count, tokens=(3, 9, 4, 7)):
    """The logits of ``count`` steps on fixed tokens, and a session that is ready for the next."""
    session = Session(model, parse(label), 1, 21, 80)
    session.prefill(torch.arange(2, 23, device="cuda").view(1, 21))
    logits = [session.step(torch.tensor([tokens[k % 4]], device="cuda")).clone() for k in range(count)]
    return torch.stack(logits), session


@pytest.mark.parametrize("kind", ["int8", "bf16"])
@pytest.mark.parametrize("label", EXECUTED)
def test_every_execution_decodes_by_the_same_narrow_weights_across_a_bucket(int8, kind, label):
    model = int8
    if kind == "bf16":
        model = load_model(SPEC, device="cuda")
        use_weights(model, "bf16")
    oracle, found = (steps(model, each, 70)[0] for each in ("full_recompute", label))
    assert (found - oracle).abs().max() < 6e-2 * oracle.abs().max()


def test_a_step_multiplies_each_weight_by_one_kernel_and_never_by_torchs_int8_operator(int8):
    _, session = steps(int8, "static_kv", 3)
    token_B = torch.tensor([5], device="cuda")
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as profiler:
        session.step(token_B)
        torch.cuda.synchronize()
    events = profiler.events()
    assert not [event.name for event in events if "int8pack" in event.name]
    on_gpu = [event.name for event in events if event.device_type.name == "CUDA" and "triton" in event.name]
    cached = [layer.cross_attn.kv for layer in int8.decoder.layers]
    of_a_step = [module for module in [*products(int8.decoder), int8.lm_head] if module not in cached]
    assert len(on_gpu) == len(of_a_step)


def test_a_sweep_over_devices_skips_what_a_gpu_has_no_fast_kernel_for(tmp_path):
    asked = small_model(d_model=32, d_ff=48)
    asked += ["seq_len=8", "strategies=[static_kv]", "measure=quick", "plots=false", "report=false"]
    for keys in (["linear=auto"], ["weights=int8", "batch_size=2"]):
        suites("run", "device=cpu,cuda", *asked, *keys, "hydra.run.dir=run", folder=tmp_path, check=True)
        table = pd.read_csv(tmp_path / "run" / "table.csv").set_index("device")
        assert table["status"].to_dict() == {"cpu": "ok", "cuda": "skipped"}
        assert "cuda" in table.loc["cuda", "reason"].lower()
        (tmp_path / "run").rename(tmp_path / keys[0])
