"""What needs a CUDA device; skipped with the reason where there is none."""

import functools

import pandas as pd
import pytest
import torch

from strategies import DTYPES, Session, load_model, parse, select
from strategies.models.load import ModelSpec
from suites.probes.memory import peak_memory
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.timing.clock import CudaClock
from suites.timing.one_round import one_round, token_ids
from suites.work.capacity import predicted_peak_bytes
from tests.command import SMALL_MODEL, suites

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
PRONOUNCE = ModelSpec("pronounce", "pronounce")
SHAPE = {"architecture": "t5", "vocab_size": 100, "d_model": 128, "num_heads": 8, "d_kv": 64, "d_ff": 256,
         "encoder_layers": 1, "decoder_layers": 2}  # fmt: skip
HEADS_OF_64 = ModelSpec("heads of 64", "random", shape=tuple(sorted(SHAPE.items())))


@functools.cache
def _heads_of_64(dtype: str):
    """One model of each type, so that its compiled steps are shared."""
    return load_model(HEADS_OF_64, DTYPES[dtype], "cuda")


def cell(dtype: str = "fp32") -> Cell:
    return Cell(PRONOUNCE, 24, 24, 3, "cuda", dtype, 1, 0, "fixed")


OTHERS = [
    parse(label)
    for label in (
        "doubling_kv(first=4)", "paged_kv(block=4)", "pruned_cross_kv", "quantized_kv", "quantized_kv(bits=4)",
        "sliding_kv(window=8)",
    )
]  # fmt: skip
"""Strategies that ship beside those of the grid."""


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("strategy", [*select("grid"), *OTHERS], ids=lambda s: s.label)
def test_strategies_give_the_cpus_logits(strategy, dtype):
    """In float32 to 1e-3, since TensorFloat-32 is off by default; in half precision to a few units of its rounding."""
    if dtype != "fp32" and not strategy.exact:
        pytest.skip("what differs in rounding may be quantised to the next level, or chosen otherwise")
    logits = {}
    for device in ("cpu", "cuda"):
        where = Cell(PRONOUNCE, 24, 24, 3, device, dtype, 1, 0, "fixed")
        model = load_model(PRONOUNCE, DTYPES[dtype], device)
        inputs = make_inputs(where, model.config)
        session = Session(model, strategy, 3, 24, 24)
        session.prefill(inputs.source, inputs.src_mask_BS)
        fed = torch.arange(24 * 3).view(24, 3) % 60 + 30
        logits[device] = torch.stack([session.step(token_B.to(device)).float().cpu() for token_B in fed])
    scale = logits["cpu"].abs().max().item()
    allowed = {"fp32": 1e-3, "bf16": 8e-2, "fp16": 2e-2}[dtype] * scale
    assert (logits["cpu"] - logits["cuda"]).abs().max() < allowed


EXECUTED = dict.fromkeys(
    made.label
    for strategy in select("grid")
    for execution in ("eager", "compiled", "graph")
    if (made := strategy.executed(execution)) is not None and made.label != "full_recompute"
)
"""Every strategy of the grid in each execution that it supports."""


@pytest.mark.parametrize("masked", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("label", EXECUTED)
def test_heads_of_64_give_the_oracles_logits_across_a_bucket(label, dtype, masked):
    """A head size that the fused attention kernels take, and more steps than the first bucket has rows."""
    model = _heads_of_64(dtype)
    src_BS = torch.arange(2 * 21, device="cuda").view(2, 21) % 90 + 2
    mask_BS = torch.arange(21, device="cuda") < torch.tensor([[21], [13]], device="cuda") if masked else None
    oracle, session = (Session(model, parse(each), 2, 21, 70) for each in ("full_recompute", label))
    for each in (oracle, session):
        each.prefill(src_BS, mask_BS)
    for k in range(70):
        token_B = torch.tensor([k % 90 + 2, 5], device="cuda")
        expected, found = (each.step(token_B).float().clone() for each in (oracle, session))
        allowed = {"fp32": 1e-4, "bf16": 6e-2}[dtype] * max(1.0, expected.abs().max().item())
        assert (found - expected).abs().max() < allowed, f"step {k + 1}"


@pytest.mark.parametrize("execution", ["compiled", "graph"])
@pytest.mark.parametrize("label", ["quantized_kv", "quantized_kv(bits=4)", "sliding_kv(window=16)"])
def test_compiled_and_captured_steps_of_approximate_strategies_give_their_eager_logits(label, execution):
    model = _heads_of_64("fp32")
    src_BS = torch.arange(2 * 21, device="cuda").view(2, 21) % 90 + 2
    eager = parse(label)
    sessions = [Session(model, each, 2, 21, 70) for each in (eager, eager.executed(execution))]
    for session in sessions:
        session.prefill(src_BS)
    for k in range(70):
        token_B = torch.tensor([k % 90 + 2, 5], device="cuda")
        expected, found = (session.step(token_B).float().clone() for session in sessions)
        # Rounding may take an element of K or V to the next level: far less than another key or another scale.
        assert (found - expected).abs().max() < 2e-2 * max(1.0, expected.abs().max().item()), f"step {k + 1}"


def test_rounds_with_and_without_step_marks_decode_the_same():
    model = load_model(PRONOUNCE, device="cuda")
    inputs = make_inputs(cell(), model.config)
    session = Session(model, select("static_kv")[0], 3, 24, 24)
    marked, whole = CudaClock(every_step=True), CudaClock(every_step=False)
    first = token_ids(one_round(session, inputs, "fixed", marked))
    second = token_ids(one_round(session, inputs, "fixed", whole))
    assert torch.equal(first, second)
    assert len(marked.marks_s()) == 24 + 2
    assert len(whole.marks_s()) == 4
    assert marked.marks_s() == sorted(marked.marks_s())


def test_a_fixed_length_round_never_waits_for_the_device():
    model = load_model(PRONOUNCE, device="cuda")
    inputs = make_inputs(cell(), model.config)
    for strategy in [*select("grid"), *OTHERS]:
        session = Session(model, strategy, 3, 24, 24)
        session.prefill(inputs.source, inputs.src_mask_BS)
        token_B = torch.full((3,), 40, device="cuda")
        session.step(token_B)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(8):
                token_B = session.step(token_B).argmax(-1)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_peak_memory_sees_the_bytes_that_were_asked_for():
    with peak_memory("cuda") as memory:
        held = torch.empty(3 * 2**20 + 7, dtype=torch.uint8, device="cuda")
        del held
    assert (memory.peak_bytes, memory.live_bytes, memory.allocations) == (3 * 2**20 + 7, 0, 1)


@pytest.mark.parametrize("label", ["full_recompute", "static_kv"])
def test_the_peak_of_decoding_is_that_of_the_formula(label):
    """The second time: at the first, libraries ask the allocator for workspaces that they keep."""
    model = load_model(HEADS_OF_64, device="cuda")
    src_BS = torch.full((16, 24), 30, device="cuda")

    def decode():
        session = Session(model, parse(label), 16, 24, 24)
        session.prefill(src_BS)
        for _ in range(24):
            session.step(src_BS[:, 0])

    for _ in range(2):
        with peak_memory("cuda") as memory:
            decode()  # in a function, so that no session is left that would be freed while the next one is measured
    where = Cell(HEADS_OF_64, 24, 24, 16, "cuda", "fp32", 1, 0, "fixed")
    predicted = predicted_peak_bytes(model.config, where, parse(label), padded=False)
    assert memory.peak_bytes == pytest.approx(predicted, rel=0.02)


def test_the_command_measures_both_devices_in_one_folder(tmp_path):
    suites("run", "device=cpu,cuda", "seq_len=8", *SMALL_MODEL, "measure=quick", folder=tmp_path, check=True)
    table = pd.read_csv(tmp_path / "results" / "latest" / "table.csv")
    assert table.groupby("device")["status"].agg(set).to_dict() == {"cpu": {"ok"}, "cuda": {"ok"}}
    assert (table["itl_s"] > 0).all()
