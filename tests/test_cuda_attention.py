"""Attention kernels, TensorFloat-32, aligned biases and captured compiled steps on a CUDA device."""

import pandas as pd
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from strategies import Session, load_model, parse
from strategies.models.kernels.execution import Captured, Compiled
from strategies.models.load import ModelSpec
from strategies.models.torch_settings import enabled_attention
from tests.command import suites

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
SHAPE = ["vocab_size=100", "d_model=128", "num_heads=8", "d_kv=64", "d_ff=256", "encoder_layers=1", "decoder_layers=2"]
SPEC = ModelSpec("heads of 64", "random", shape=tuple(sorted(
    {"architecture": "t5", **{k: int(v) for k, v in (text.split("=") for text in SHAPE)}}.items()
)))  # fmt: skip
LENGTH = 21
"""No multiple of eight, so that a bias has to be aligned."""


def table(folder, *keys, architecture="t5", check=True):
    model = ["model=tiny", f"model.architecture={architecture}", *(f"model.{text}" for text in SHAPE)]
    keys = ["device=cuda", f"seq_len={LENGTH}", "measure=quick", "plots=false", "report=false", *keys]
    suites("run", *model, *keys, "hydra.run.dir=run", folder=folder, check=check)
    return pd.read_csv(folder / "run" / "table.csv", keep_default_na=False)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("kernel", ["efficient", "math"])
def test_the_kernel_that_is_asked_for_is_the_one_that_ran(tmp_path, kernel, dtype):
    rows = table(tmp_path, f"attention={kernel}", f"dtype={dtype}", "execution=graph")
    assert set(rows["status"]) == {"ok"}, rows["reason"].tolist()
    assert set(rows["attention_ran"]) == {kernel}


def test_cudnns_kernel_runs_or_is_skipped_with_its_reason(tmp_path):
    """Whether it takes a bias and a single row depends on the versions of torch and cuDNN."""
    rows = table(tmp_path, "attention=cudnn", "dtype=bf16", check=False)
    ran = rows["status"] == "ok"
    assert set(rows.loc[ran, "attention_ran"]) <= {"cudnn"}
    assert rows.loc[~ran, "reason"].str.startswith("attention=cudnn cannot be used here: ").all()


def test_without_asking_cudnn_is_left_out(tmp_path):
    rows = table(tmp_path, "dtype=bf16")
    assert set(rows["status"]) == {"ok"}
    assert not rows["attention_ran"].str.contains("cudnn").any()


def test_flash_takes_what_has_no_mask_and_skips_the_rest(tmp_path):
    """Without relative positions a single row attends all keys of a growing cache; full recompute needs a mask."""
    rows = table(tmp_path, "attention=flash", "dtype=bf16", architecture="transformer2017").set_index("strategy")
    assert rows.loc["contiguous_kv", ["status", "attention_ran"]].tolist() == ["ok", "flash"]
    assert rows.loc["full_recompute", "status"] == "skipped"
    assert rows.loc["full_recompute", "reason"].startswith("attention=flash cannot be used here: ")


def test_tensorfloat_32_rounds_more_than_float32(tmp_path):
    rows = table(tmp_path, "tf32=false,true").set_index(["tf32", "strategy"])["max_logit_error"].astype(float)
    assert rows[True, "static_kv"] > 4 * rows[False, "static_kv"]


def test_no_bias_is_padded_inside_attention():
    model = load_model(SPEC, torch.bfloat16, "cuda")
    src_BS = torch.arange(2 * LENGTH, device="cuda").view(2, LENGTH) % 90 + 2
    mask_BS = torch.arange(LENGTH, device="cuda") < torch.tensor([[LENGTH], [13]], device="cuda")
    for label in ("full_recompute", "contiguous_kv", "static_kv(read=buffer)"):
        session = Session(model, parse(label), 2, LENGTH, LENGTH)
        with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
            session.prefill(src_BS, mask_BS)
            for _ in range(LENGTH):
                session.step(src_BS[:, 0])
        padded = [event for event in profiler.events() if "pad" in event.name and _in_attention(event)]
        assert not padded, label


def _in_attention(event):
    while event is not None:
        if event.name == "aten::scaled_dot_product_attention":
            return True
        event = event.cpu_parent
    return False


def test_a_compiled_step_is_captured_and_gives_the_eager_logits():
    model = load_model(SPEC, device="cuda")
    labels = "static_kv", "static_kv(execution=compiled,read=bucket)", "contiguous_kv(execution=compiled)"
    eager, captured, growing = (Session(model, parse(label), 1, LENGTH, LENGTH) for label in labels)
    assert isinstance(captured._forward, Captured)
    assert isinstance(growing._forward, Compiled)
    src_BS = torch.arange(LENGTH, device="cuda")[None] + 2
    for session in (eager, captured, growing):
        session.prefill(src_BS)
    for k in range(LENGTH):
        token_B = torch.tensor([k + 2], device="cuda")
        expected, *others = (session.step(token_B).clone() for session in (eager, captured, growing))
        for found in others:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_holds_on_cuda_by_default():
    load_model(SPEC, device="cuda")
    product = torch.backends.cuda.matmul
    assert "cudnn" not in enabled_attention()
    assert not product.allow_tf32
    assert not product.allow_bf16_reduced_precision_reduction
    assert not product.allow_fp16_reduced_precision_reduction
