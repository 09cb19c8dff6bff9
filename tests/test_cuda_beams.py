"""Beams on a CUDA device; skipped with the reason where there is none. ``test_fake_cuda_graph.py`` needs no device."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from strategies import DTYPES, Beam, ModelSpec, Sample, Session, begin, decode, load_model, parse
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.kernels.execution import Captured
from strategies.search.options import Search
from strategies.search.searching import Searching

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
BATCH, BEAMS, SOURCE, STEPS = 2, 4, 21, 70
"""More steps than the first bucket has rows."""
SHAPE = {"architecture": "t5", "vocab_size": 100, "d_model": 128, "num_heads": 8, "d_kv": 64, "d_ff": 256,
         "encoder_layers": 1, "decoder_layers": 2}  # fmt: skip
CAPTURED = ["static_kv(execution=graph,read=bucket)", "static_kv(execution=graph,read=bucket,reorder=table)"]
COMPILED = [
    "static_kv(execution=compiled,read=buffer)",
    "static_kv(execution=compiled,read=buffer,reorder=table)",
    "contiguous_kv(execution=compiled)",
]
"""In float32 alone, and with few variants, because compiling takes seconds."""
EAGER = [
    "static_kv",
    "static_kv(cross_beams=expanded)",
    "static_kv(cross_beams=expanded_once)",
    "static_kv(reorder=table)",
    "contiguous_kv",
]
UNCOMPILED = [*EAGER, *CAPTURED, "static_kv(cross_beams=expanded_once,execution=graph,read=bucket)"]


@functools.cache
def model_of(dtype: str = "fp32"):
    """Heads of a size that fused attention kernels take; one model of each type, so that compiled steps are shared."""
    return load_model(ModelSpec("heads of 64", "random", shape=tuple(sorted(SHAPE.items()))), DTYPES[dtype], "cuda")


def sources() -> tuple[Tensor, Tensor]:
    """(ids, mask) of a padded batch."""
    src_BS = torch.arange(BATCH * SOURCE, device="cuda").view(BATCH, SOURCE) % 90 + 2
    return src_BS, torch.arange(SOURCE, device="cuda") < torch.tensor([[SOURCE], [SOURCE - 8]], device="cuda")


@pytest.mark.parametrize(
    ("label", "dtype"),
    [*((label, "fp32") for label in [*UNCOMPILED, *COMPILED]), *((label, "bf16") for label in UNCOMPILED)],
)
def test_logits_are_the_oracles_whatever_beams_go_on(label, dtype):
    model, draw = model_of(dtype), torch.Generator().manual_seed(1)
    sessions = [Session(model, parse(each), BATCH, SOURCE, STEPS, beams=BEAMS) for each in ("full_recompute", label)]
    for session in sessions:
        session.prefill(*sources())
    for k in range(1, STEPS + 1):
        token_X = torch.randint(2, 100, (BATCH * BEAMS,), generator=draw).cuda()
        expected_XV, found_XV = (session.step(token_X).float().clone() for session in sessions)
        allowed = {"fp32": 1e-4, "bf16": 6e-2}[dtype] * max(1.0, expected_XV.abs().max().item())
        assert (found_XV - expected_XV).abs().max() < allowed, f"step {k}"
        if k < STEPS:
            parent_BW = torch.randint(0, BEAMS, (BATCH, BEAMS), generator=draw).cuda()
            for session in sessions:
                session.select(parent_BW)


@pytest.mark.parametrize("label", CAPTURED)
def test_a_captured_step_has_a_graph_for_each_bucket_and_each_buffer_of_its_stores(label):
    session = Session(model_of(), parse(label), BATCH, SOURCE, STEPS, beams=BEAMS)
    assert isinstance(session._forward, Captured)
    sides = [0] if "table" in label else [0, 1]
    assert sorted(session._forward._graphs) == [(bucket, side) for bucket in (64, STEPS) for side in sides]


def searched(model: EncoderDecoder, label: str, search: Search, wait: str = "default") -> Searching:
    """A search of fixed length that is done. ``wait`` says what waiting for the device after prefill is."""
    device = model.embedding.weight.device
    session = Session(model, parse(label), BATCH, SOURCE, STEPS, beams=search.width)
    tolerance = 1e-4 if device.type == "cpu" else None
    searching = begin(search, model.config, BATCH, STEPS, "fixed", device, tolerance=tolerance)
    src_BS, mask_BS = sources()
    session.prefill((src_BS % 26 + 4).to(device), mask_BS.to(device))
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode(wait)
    try:
        list(decode(session, searching, "fixed"))
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return searching


BEAM, SAMPLE = Beam(BEAMS, num_return=2), Sample(top_k=9, top_p=0.9)
ROUNDS = [
    *((label, BEAM) for label in ("full_recompute", *UNCOMPILED, *COMPILED)),
    *((label, SAMPLE) for label in ("full_recompute", "static_kv", "contiguous_kv", CAPTURED[0])),
]


@pytest.mark.parametrize(("label", "search"), ROUNDS, ids=lambda one: getattr(one, "kind", one))
def test_a_search_of_fixed_length_never_waits_for_the_device(label, search):
    found = searched(model_of(), label, search, wait="error").sequences()
    assert found.length_R.tolist() == [STEPS] * BATCH * search.returned


@pytest.mark.parametrize("label", ["static_kv", *CAPTURED])
def test_beam_search_finds_what_it_finds_on_the_cpu(label):
    spec = ModelSpec("pronounce", "pronounce")
    here = searched(load_model(spec), "full_recompute", BEAM)
    assert here.ties() == 0, "rounding turns no choice"
    expected, found = here.sequences(), searched(load_model(spec, device="cuda"), label, BEAM).sequences()
    torch.testing.assert_close(found.score_R.cpu(), expected.score_R, rtol=0, atol=1e-4)
    assert found.token_RN.tolist() == expected.token_RN.tolist()
