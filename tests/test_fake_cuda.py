"""Every strategy on fake tensors of the device "cuda": tensors of the CPU that get in are found without a device."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from strategies import DTYPES, Session, Strategy, parse, select, static_kv
from strategies.models.positions import aligned_rows
from strategies.models.stores import KVShape, SelfKV
from strategies.static_kv import StaticKV
from tests.fake_cuda import fake_cuda

EAGER = [*(s for s in select("all") if "eager" in s.supports), parse("static_kv(read=bucket)")]
BATCH, SOURCE, BUCKET = 3, 5, 2
STEPS = BUCKET + 1
"""Across the boundary of a bucket."""


@pytest.fixture(autouse=True)
def _short_buckets(monkeypatch):
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", BUCKET)


def decoded(model, strategy: Strategy) -> Iterator[torch.Tensor]:
    """The logits of each step of two batches of one session: sources without padding, one step; sources with it."""
    session = Session(model, strategy, BATCH, SOURCE, STEPS)
    src_BS = torch.zeros(BATCH, SOURCE, dtype=torch.int64, device="cuda")
    for mask_BS, steps in ((None, 1), (torch.ones_like(src_BS, dtype=torch.bool), STEPS)):
        session.prefill(src_BS, mask_BS)
        token_B = torch.zeros(BATCH, dtype=torch.int64, device="cuda")
        for _ in range(steps):
            logits_BV = session.step(token_B)
            yield logits_BV
            token_B = logits_BV.argmax(-1)


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("strategy", EAGER, ids=lambda strategy: strategy.label)
def test_every_step_stays_on_the_device_in_the_models_type(tiny_model, architecture, strategy, dtype):
    with fake_cuda(tiny_model(architecture, DTYPES[dtype], decoder_layers=1)) as model:
        for logits_BV in decoded(model, strategy):
            assert (logits_BV.device.type, logits_BV.dtype) == ("cuda", DTYPES[dtype])
            assert logits_BV.shape == (BATCH, model.config.vocab_size)


@pytest.mark.parametrize("strides", [(9, 8, 8, 1), (24, 9, 8, 1), (24, 8, 9, 1), (16, 16, 16, 2)])
def test_each_stride_of_a_mask_but_the_last_becomes_a_multiple_of_eight(tiny_model, strides):
    with fake_cuda(tiny_model("t5", decoder_layers=1)):
        bias = torch.empty_strided((2, 1, 1, 8), strides, device="cuda")
        *others, last = aligned_rows(bias).stride()
        assert last == 1
        assert all(stride % 8 == 0 for stride in others)


class OnTheCPU(StaticKV):
    """Its stores allocate without a device."""

    def self_kv(self, shape: KVShape) -> SelfKV:
        return super().self_kv(dataclasses.replace(shape, device=torch.device("cpu")))


class Counting(StaticKV):
    """Its stores count positions on the CPU, and keep K and V where they belong."""

    def self_kv(self, shape: KVShape) -> SelfKV:
        store = super().self_kv(shape)
        store._position_C = torch.arange(shape.max_new)
        return store


@pytest.mark.parametrize("strategy", [OnTheCPU(), Counting()], ids=lambda strategy: type(strategy).__name__)
def test_a_store_with_a_tensor_of_the_cpu_is_found(tiny_model, strategy):
    with (
        fake_cuda(tiny_model("t5", decoder_layers=1)) as model,
        pytest.raises(RuntimeError, match=r"found (at least )?two"),
    ):
        list(decoded(model, strategy))


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


@pytest.mark.parametrize("strategy", EAGER, ids=lambda strategy: strategy.label)
def test_rows_of_each_mask_lie_a_multiple_of_eight_apart(tiny_model, architecture, strategy):
    """The memory-efficient kernel asks for it, and copies a mask that lies otherwise at every call."""
    with fake_cuda(tiny_model(architecture, decoder_layers=1)) as model, Masks() as masks:
        list(decoded(model, strategy))
    assert masks.strides
    assert not [strides for strides in masks.strides if any(stride % 8 for stride in strides)]
