"""What needs a CUDA device; skipped with the reason where there is none."""

import pandas as pd
import pytest
import torch

from strategies import DTYPES, Session, load_model, select
from strategies.models.load import ModelSpec
from suites.bench import one_round, token_ids
from suites.cells import Cell
from suites.clock import CudaClock
from suites.inputs import make_inputs
from suites.probes.memory import peak_memory
from tests.command import SMALL_MODEL, suites

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
PRONOUNCE = ModelSpec("pronounce", "pronounce")


def cell(dtype: str = "fp32") -> Cell:
    return Cell(PRONOUNCE, 24, 24, 3, "cuda", dtype, 1, 0, "fixed")


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("strategy", select("grid"), ids=lambda s: s.label)
def test_strategies_give_the_cpus_logits(strategy, dtype):
    """In float32 to 1e-3, since TensorFloat-32 is off by default; in half precision to a few units of its rounding."""
    logits = {}
    for device in ("cpu", "cuda"):
        where = Cell(PRONOUNCE, 24, 24, 3, device, dtype, 1, 0, "fixed")
        model = load_model(PRONOUNCE, DTYPES[dtype], device)
        inputs = make_inputs(where, model.config)
        session = Session(model, strategy, 3, 24, 24)
        session.prefill(inputs.src_BS, inputs.src_mask_BS)
        fed = torch.arange(24 * 3).view(24, 3) % 60 + 30
        logits[device] = torch.stack([session.step(token_B.to(device)).float().cpu() for token_B in fed])
    scale = logits["cpu"].abs().max().item()
    allowed = {"fp32": 1e-3, "bf16": 8e-2, "fp16": 2e-2}[dtype] * scale
    assert (logits["cpu"] - logits["cuda"]).abs().max() < allowed


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
    for strategy in select("grid"):
        session = Session(model, strategy, 3, 24, 24)
        session.prefill(inputs.src_BS, inputs.src_mask_BS)
        token_B = torch.full((3,), 40, device="cuda")
        session.step(token_B)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(8):
                token_B = session.step(token_B).argmax(-1)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_peak_memory_sees_what_was_allocated():
    with peak_memory("cuda") as memory:
        held = torch.empty(3 * 2**20, dtype=torch.uint8, device="cuda")
        del held
    assert memory.peak_bytes == 3 * 2**20


def test_the_command_measures_both_devices_in_one_folder(tmp_path):
    suites("run", "device=cpu,cuda", "seq_len=8", *SMALL_MODEL, "measure=quick", folder=tmp_path, check=True)
    table = pd.read_csv(tmp_path / "results" / "latest" / "table.csv")
    assert table.groupby("device")["status"].agg(set).to_dict() == {"cpu": {"ok"}, "cuda": {"ok"}}
    assert (table["itl_s"] > 0).all()
