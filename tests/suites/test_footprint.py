"""The closed formula of the peak beside the peak that is measured."""

import pytest
import torch

from strategies import ModelSpec, Session, greedy, parse
from suites.capacity import predicted_peak_bytes
from suites.cells import Cell
from suites.probes import peak_memory

NAMES = [
    "full_recompute",
    "cross_kv",
    "contiguous_kv",
    "contiguous_kv(cross=recompute)",
    "static_kv",
    "static_kv(read=buffer)",
    "static_kv(capacity=32)",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("batch", "src_len", "tgt_len"), [(16, 8, 24), (8, 24, 6), (1, 48, 28)])
def test_the_peak_of_memory_is_that_of_the_formula(name, tiny_model, architecture, batch, src_len, tgt_len):
    """Within 2 %; a width at which scalars and single rows no longer count."""
    strategy, model = parse(name), tiny_model(architecture, d_model=64, d_kv=16, d_ff=128, vocab_size=200)
    config = model.config
    cell = Cell(ModelSpec("m", "random"), src_len, tgt_len, batch, "cpu", "fp32", 1, 0, "fixed")
    src_BS = torch.full((batch, src_len), 2)
    for length in (src_len, src_len - 2):
        mask_BS = (torch.arange(src_len) < length).expand(batch, -1) if length < src_len else None
        with peak_memory("cpu") as memory:
            session = Session(model, strategy, batch, src_len, tgt_len)
            session.prefill(src_BS, mask_BS)
            chosen = list(greedy(session, "fixed"))
        assert len(chosen) == tgt_len
        predicted = predicted_peak_bytes(config, cell, strategy, padded=mask_BS is not None)
        assert predicted == pytest.approx(memory.peak_bytes, rel=0.02)
