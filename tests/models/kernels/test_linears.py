"""Kernels of the products with weights: each gives torch's results, for every architecture."""

import pytest
import torch

from strategies import ModelError, Session, parse
from strategies.models import one_position
from strategies.models.head import Head
from strategies.models.kernels import one_row
from strategies.models.kernels.linears import use_linear
from strategies.models.kernels.packing import KERNELS

OTHERS = [kind for kind in KERNELS if kind != "torch"]
PACKED = ["transposed", "onednn", "mkl"]


def logits(model, strategy, rows):
    """Of each of five steps, float [B, V] each."""
    session = Session(model, parse(strategy), rows, 7, 5)
    generator = torch.Generator().manual_seed(0)
    session.prefill(torch.randint(2, 29, (rows, 7), generator=generator))
    return [session.step(torch.full((rows,), k + 2)).clone() for k in range(5)]


@pytest.fixture
def fresh(tiny_model):
    """A model of an architecture that no other test shares."""
    seeds = iter(range(1000, 2000))

    def make(architecture, dtype=torch.float32):
        import copy

        next(seeds)
        return copy.deepcopy(tiny_model(architecture, dtype))

    return make


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("strategy", ["static_kv", "full_recompute"])
@pytest.mark.parametrize("kind", OTHERS)
def test_every_kernel_gives_torchs_logits_at_each_step(fresh, architecture, kind, strategy, rows):
    plain, packed = fresh(architecture), fresh(architecture)
    use_linear(packed, kind, rows)
    for expected, found in zip(logits(plain, strategy, rows), logits(packed, strategy, rows), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", PACKED)
def test_its_copies_are_as_large_as_the_weights_of_all_products(fresh, kind):
    model = fresh("t5")
    products = [m.weight.nbytes for m in model.modules() if isinstance(m, torch.nn.Linear | Head)]
    assert use_linear(model, kind, 2).copy_bytes == sum(products)
    assert [use_linear(fresh("t5"), kind, 2).copy_bytes for kind in ("torch", "fused")] == [0, 0]


@pytest.mark.parametrize("kind", PACKED)
def test_no_product_is_left_to_torchs_kernel(fresh, kind, monkeypatch):
    model = fresh("transformer2017")
    use_linear(model, kind, 2)
    asked = []
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *args: asked.append(args))
    src_len = 1 if kind == "mkl" else 2  # MKL's panels are for the rows of a step; a longer prefill takes torch's
    session = Session(model, parse("static_kv"), 2, src_len, 2)
    session.prefill(torch.full((2, src_len), 3))
    session.step(torch.full((2,), 3))
    assert asked == []


def test_no_product_of_one_row_is_left_to_torchs_kernel_where_it_is_written_out(fresh, architecture, monkeypatch):
    """What a compiled step does, here operator by operator."""
    plain, model = fresh(architecture), fresh(architecture)
    use_linear(model, "fused", 1)
    sessions = [Session(m, parse("static_kv(read=buffer)"), 1, 7, 5) for m in (plain, model)]
    for session in sessions:
        session.prefill(torch.full((1, 7), 3))
    expected = [sessions[0].step(torch.full((1,), k + 2)).clone() for k in range(5)]
    for module in (one_row, one_position):
        monkeypatch.setattr(module, "is_written_out", lambda x: True)
    monkeypatch.setattr(torch.nn.functional, "linear", None)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)
    for k, expected_BV in enumerate(expected):
        torch.testing.assert_close(sessions[1].step(torch.full((1,), k + 2)), expected_BV, rtol=1e-4, atol=1e-5)


def test_another_number_of_rows_takes_torchs_kernel_where_the_copy_is_for_one(fresh):
    model, plain = fresh("t5"), fresh("t5")
    use_linear(model, "mkl", 2)
    for expected, found in zip(logits(plain, "static_kv", 3), logits(model, "static_kv", 3), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["onednn", "mkl", "fused"])
def test_another_type_is_refused_with_a_remedy(fresh, kind):
    with pytest.raises(ModelError, match=f"linear={kind} takes float32 weights, not torch.bfloat16; give linear=torch"):
        use_linear(fresh("t5", torch.bfloat16), kind, 1)


def test_an_unknown_kernel_is_said(fresh):
    with pytest.raises(
        ModelError, match="linear=fast is not known; known: torch, transposed, onednn, mkl, fused, panel, auto"
    ):
        use_linear(fresh("t5"), "fast", 1)
