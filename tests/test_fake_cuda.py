"""Every strategy on fake tensors of the device "cuda": tensors of the CPU that get in are found without a device."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from strategies import DTYPES, Session, Strategy, parse, select, static_kv
from strategies.models.positions import aligned_rows
from strategies.models.stores import KVShape, SelfKV
from strategies.search.begin import begin
from strategies.search.loop import decode
from strategies.search.options import Beam, Greedy, Sample
from strategies.static_kv import StaticKV
from tests.conftest import ARCHITECTURES, every_strategy
from tests.fake_cuda import fake_cuda

EAGER = [*(s for s in select("all") if "eager" in s.supports), parse("static_kv(read=bucket)")]
BATCH, SOURCE, BUCKET, BEAMS = 3, 5, 2, 2
STEPS = BUCKET + 1
"""Across the boundary of a bucket."""
SEARCHES = [Greedy(), Sample(top_k=5, top_p=0.9), Beam(num_beams=BEAMS, num_return=2)]


@pytest.fixture(autouse=True)
def _short_buckets(monkeypatch):
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", BUCKET)


def decoded(model, strategy: Strategy, beams: int = 1) -> Iterator[torch.Tensor]:
    """The logits of each step of two batches of one session: sources without padding, one step; sources with it."""
    session = Session(model, strategy, BATCH, SOURCE, STEPS, beams=beams)
    src_BS = torch.zeros(BATCH, SOURCE, dtype=torch.int64, device="cuda")
    parent_BW = torch.zeros(BATCH, beams, dtype=torch.int64, device="cuda")
    for mask_BS, steps in ((None, 1), (torch.ones_like(src_BS, dtype=torch.bool), STEPS)):
        session.prefill(src_BS, mask_BS)
        token_X = torch.zeros(BATCH * beams, dtype=torch.int64, device="cuda")
        for k in range(steps):
            logits_XV = session.step(token_X)
            yield logits_XV
            token_X = logits_XV.argmax(-1)
            if k + 1 < steps:
                session.select(parent_BW)


def turns(*others):
    """Every strategy with each architecture, and with each of ``others`` by turns."""
    pairs = itertools.product(enumerate(EAGER), enumerate(ARCHITECTURES))
    return [
        pytest.param(strategy, architecture, others[(i + j) % len(others)], id=f"{strategy.label}-{architecture}")
        for (i, strategy), (j, architecture) in pairs
    ]


@pytest.mark.parametrize(("strategy", "architecture", "dtype"), turns(*DTYPES))
def test_every_step_stays_on_the_device_in_the_models_type(tiny_model, architecture, strategy, dtype):
    with fake_cuda(tiny_model(architecture, DTYPES[dtype], decoder_layers=1)) as model:
        for logits_BV in decoded(model, strategy):
            assert (logits_BV.device.type, logits_BV.dtype) == ("cuda", DTYPES[dtype])
            assert logits_BV.shape == (BATCH, model.config.vocab_size)


@pytest.mark.parametrize(
    ("strategy", "architecture"),
    [(one, list(ARCHITECTURES)[place % 4]) for place, one in enumerate(every_strategy(beams=True))],
    ids=str,
)
def test_every_step_of_beams_stays_on_the_device(tiny_model, strategy, architecture):
    """Every option of beams, architectures by turns: without beams, above, each strategy has all of them."""
    with fake_cuda(tiny_model(architecture, torch.bfloat16, decoder_layers=1)) as model:
        for logits_XV in decoded(model, strategy, BEAMS):
            assert (logits_XV.device.type, logits_XV.dtype) == ("cuda", torch.bfloat16)
            assert logits_XV.shape == (BATCH * BEAMS, model.config.vocab_size)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.kind)
def test_a_search_of_fixed_length_stays_on_the_device(tiny_model, search):
    with fake_cuda(tiny_model("t5", decoder_layers=1)) as model:
        session = Session(model, parse("static_kv"), BATCH, SOURCE, STEPS, beams=search.width)
        searching = begin(search, model.config, BATCH, STEPS, "fixed", model.embedding.weight.device)
        session.prefill(torch.zeros(BATCH, SOURCE, dtype=torch.int64, device="cuda"))
        fed = list(decode(session, searching, "fixed"))
        found = searching.sequences()
    assert [token_X.shape for token_X in fed] == [(BATCH * search.width,)] * STEPS
    held = [*fed, found.token_RN, found.length_R, *([] if found.score_R is None else [found.score_R])]
    assert {tensor.device.type for tensor in held} == {"cuda"}
    assert found.token_RN.shape == (BATCH * search.returned, STEPS)


@pytest.mark.parametrize("strides", [(9, 8, 8, 1), (24, 9, 8, 1), (24, 8, 9, 1), (16, 16, 16, 2)])
def test_each_stride_of_a_mask_but_the_last_becomes_a_multiple_of_eight(tiny_model, strides):
    with fake_cuda(tiny_model("t5", decoder_layers=1)):
        bias = torch.empty_strided((2, 1, 1, 8), strides, device="cuda")
        *others, last = aligned_rows(bias).stride()
        assert last == 1
        assert all(stride % 8 == 0 for stride in others)


class OnTheCPU(StaticKV):
    """Its stores allocate without a device."""

    def open(self, shape: KVShape, layers: int) -> Sequence[SelfKV]:
        return super().open(dataclasses.replace(shape, device=torch.device("cpu")), layers)


class Counting(StaticKV):
    """Its stores count positions on the CPU, and keep K and V where they belong."""

    def open(self, shape: KVShape, layers: int) -> Sequence[SelfKV]:
        stores = super().open(shape, layers)
        for store in stores:
            store._position_C = torch.arange(shape.max_new)
        return stores


@pytest.mark.parametrize("beams", [1, BEAMS])
@pytest.mark.parametrize("strategy", [OnTheCPU(), Counting()], ids=lambda strategy: type(strategy).__name__)
def test_a_store_with_a_tensor_of_the_cpu_is_found(tiny_model, strategy, beams):
    with (
        fake_cuda(tiny_model("t5", decoder_layers=1)) as model,
        pytest.raises(RuntimeError, match=r"found (at least )?two"),
    ):
        list(decoded(model, strategy, beams))


class Masks(TorchFunctionMode):
    """Keeps the strides of each mask that attention is given, all but the last dimension's."""

    def __init__(self) -> None:
        super().__init__()
        self.strides: list[tuple[int, ...]] = []

    def __torch_function__(self, function, types, arguments=(), named=None):
        named = named or {}
        if function is scaled_dot_product_attention and named["attn_mask"] is not None:
            assert named["attn_mask"].stride(-1) == 1
            self.strides.append(named["attn_mask"].stride()[:-1])
        return function(*arguments, **named)


@pytest.mark.parametrize(("strategy", "architecture", "beams"), turns(1, BEAMS))
def test_rows_of_each_mask_lie_a_multiple_of_eight_apart(tiny_model, architecture, strategy, beams):
    """The memory-efficient kernel asks for it, and copies a mask that lies otherwise at every call."""
    with fake_cuda(tiny_model(architecture, decoder_layers=1)) as model, Masks() as masks:
        list(decoded(model, strategy, beams))
    assert masks.strides
    assert not [strides for strides in masks.strides if any(stride % 8 for stride in strides)]
