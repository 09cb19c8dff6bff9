"""K/V in 8 or 4 bits: what rounding may cost at most, what is kept of it, and how near the logits stay."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strategies import DTYPES, ModelSpec, Session, StrategyError, load_model, load_vocabulary, parse, static_kv
from strategies.models.stores import KVShape
from strategies.quantized_kv import code_bytes, expanded, quantised

BATCH, SRC_LEN, TARGET = 2, 5, 11
BITS = 8, 4
WORDS = "through", "quantum"


@st.composite
def rows(draw) -> Tensor:
    """[1, 1, 2, K]: two rows of one type, of any size of element that keeps the sum of squares finite or not."""
    dtype, size = draw(st.sampled_from(sorted(DTYPES))), draw(st.integers(1, 9))
    limits = torch.finfo(DTYPES[dtype])
    largest = limits.max * (1 - limits.eps)
    element = st.floats(-1, 1) | st.floats(-largest, largest) | st.sampled_from([0.0, largest, -largest])
    values = draw(st.lists(element, min_size=2 * size, max_size=2 * size))
    return torch.tensor(values, dtype=torch.float64).to(DTYPES[dtype]).view(1, 1, 2, size)


@pytest.mark.parametrize("bits", BITS)
@given(x_11TK=rows())
def test_no_element_moves_by_more_than_half_of_its_rows_scale(x_11TK, bits):
    codes, scale_11T1 = quantised(x_11TK, bits)
    exact_11TK = expanded(codes, scale_11T1.double(), bits, x_11TK.shape[-1])
    assert ((exact_11TK - x_11TK.double()).abs() <= scale_11T1.double() / 2 * (1 + 1e-5)).all()
    found_11TK = expanded(codes, scale_11T1, bits, x_11TK.shape[-1])
    assert found_11TK.dtype == x_11TK.dtype
    assert found_11TK.isfinite().all()
    rounding_11TK = exact_11TK.abs() * torch.finfo(x_11TK.dtype).eps / 2 + torch.finfo(x_11TK.dtype).smallest_normal
    assert ((found_11TK.double() - exact_11TK).abs() <= rounding_11TK).all()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_numbers_stay_finite_and_zeros_stay_zeros(dtype, bits):
    limits = torch.finfo(DTYPES[dtype])
    largest_X = torch.tensor([limits.max, limits.min, 0, limits.max / 2, limits.tiny], dtype=DTYPES[dtype])
    found_2K = expanded(*quantised(torch.stack((largest_X, 0 * largest_X))[None, None], bits), bits, 5)[0, 0]
    assert found_2K.isfinite().all()
    assert found_2K[0, 0] > 0.98 * limits.max
    assert not found_2K[1].any()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("size", [3, 4])
def test_each_code_comes_back_beside_each_other_one(bits, size):
    """In every place of a row whose scale is 1."""
    most = 2 ** (bits - 1) - 1
    code_X = torch.arange(-most, most + 1, 1 if bits == 4 else 9)
    pair_R2 = torch.cartesian_prod(code_X, code_X)
    padding_RX = torch.full((len(pair_R2), size - 2), most)
    for at in range(size):
        row_RK = torch.cat((pair_R2, padding_RX), 1).roll(at, 1).float()[None, None]
        codes, scale_R1 = quantised(row_RK, bits)
        assert codes.shape[-1] == code_bytes(size, bits) == math.ceil(size * bits / 8)
        assert torch.equal(expanded(codes, scale_R1, bits, size), row_RK)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("bits", "size", "row_bytes"), [(8, 5, 2 * 3 * 5), (4, 5, 2 * 3 * 3), (4, 6, 2 * 3 * 3)])
def test_rows_take_the_bytes_that_are_declared_codes_and_a_scale_of_each_head(
    tiny_model, dtype, bits, size, row_bytes, beams
):
    model = tiny_model("t5", dtype, d_kv=size)
    session = Session(model, parse(f"quantized_kv(bits={bits})"), BATCH, SRC_LEN, TARGET, beams=beams)
    shape = KVShape(BATCH, 3, size, TARGET, dtype, torch.device("cpu"))
    row_bytes += 2 * 3 * dtype.itemsize
    assert session.strategy.kv_row_bytes(shape) == row_bytes
    rows = session.strategy.rows_reserved(1) + (session.strategy.rows_spare(1) if beams > 1 else 0)
    session.prefill(torch.full((BATCH, SRC_LEN), 2))
    for k in (1, 2, 3):
        if beams > 1 and k > 1:
            session.select(session.own_BW())
        session.step(torch.full((BATCH * beams,), 3))
        assert session.nbytes.self_reserved == 2 * BATCH * beams * rows * row_bytes
        assert session.nbytes.self_used == 2 * BATCH * beams * k * row_bytes


def decoded(model, label: str, source_BS: Tensor, fed_NB: Tensor) -> Tensor:
    """Logits [N, B, V]."""
    session = Session(model, parse(label), *source_BS.shape, len(fed_NB))
    session.prefill(source_BS)
    return torch.stack([session.step(token_B).clone() for token_B in fed_NB])


@pytest.fixture(scope="module")
def spoken():
    """The embedded model, two words, and 40 tokens that full recompute chooses for them."""
    model = load_model(ModelSpec("pronounce", "pronounce"))
    source_BS = torch.tensor([load_vocabulary().spell(word) for word in WORDS])
    session = Session(model, parse("full_recompute"), *source_BS.shape, 40)
    session.prefill(source_BS)
    fed = [torch.full((len(WORDS),), model.config.start_id)]
    for _ in range(39):
        logits_BV = session.step(fed[-1]).clone()
        logits_BV[:, model.config.eos_id] = -math.inf
        fed.append(logits_BV.argmax(-1))
    return model, source_BS, torch.stack(fed)


def test_logits_of_a_trained_model_are_near_with_8_bits_and_an_order_farther_with_4(spoken):
    model, *given = spoken
    logits_NBV = decoded(model, "full_recompute", *given)
    found = {bits: decoded(model, f"quantized_kv(bits={bits})", *given) for bits in BITS}
    error = {bits: float((found[bits] - logits_NBV).std() / logits_NBV.std()) for bits in BITS}
    assert 1e-5 < error[8] < 0.01 < 5 * error[8] < error[4] < 0.2
    assert torch.equal(found[8].argmax(-1), logits_NBV.argmax(-1))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_in_half_precision_logits_are_finite_and_near_single_precision(tiny_model, architecture, dtype, bits):
    draw = torch.Generator().manual_seed(4)
    given = (torch.randint(2, 29, size, generator=draw) for size in ((BATCH, SRC_LEN), (TARGET, BATCH)))
    source_BS, fed_NB = given
    label = f"quantized_kv(bits={bits})"
    expected_NBV = decoded(tiny_model(architecture), label, source_BS, fed_NB)
    found_NBV = decoded(tiny_model(architecture, dtype), label, source_BS, fed_NB)
    assert found_NBV.dtype == dtype
    assert found_NBV.isfinite().all()
    # Where half precision turns the rounding of a code, an element moves by a whole scale.
    steps = 16 * torch.finfo(dtype).eps + 1 / 2 ** (bits - 1)
    assert (found_NBV.float() - expected_NBV).abs().max() < steps * expected_NBV.abs().max()


@pytest.mark.parametrize("bits", BITS)
def test_a_compiled_step_has_the_logits_of_an_eager_one(tiny_model, bits, monkeypatch):
    """In buckets of 8 and 11 rows; a head of 5 elements leaves half of a byte unused."""
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", 8)
    given = torch.full((BATCH, SRC_LEN), 2), torch.arange(2, 2 + TARGET * BATCH).view(TARGET, BATCH)
    eager, compiled = f"quantized_kv(bits={bits})", f"quantized_kv(bits={bits},read=bucket,execution=compiled)"
    expected_NBV, found_NBV = (decoded(tiny_model("t5"), label, *given) for label in (eager, compiled))
    torch.testing.assert_close(found_NBV, expected_NBV, rtol=1e-4, atol=1e-5)


def test_the_facts_are_those_of_a_buffer_of_which_every_row_read_is_expanded():
    for read, keys in (("filled", 3), ("buffer", 100), ("bucket", 64)):
        bound = parse(f"quantized_kv(read={read})").bind(100)
        assert (bound.keys_read(3), bound.rows_expanded(3)) == (keys, keys)
        assert (bound.rows_reserved(3), bound.rows_copied(3), bound.rows_reordered(3)) == (100, 0, 3)
        assert not bound.exact
        assert not bound.static


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("quantized_kv(bits=2)", "quantized_kv: bits=2 is not allowed; bits takes 8|4, default 8"),
        ("quantized_kv(capacity=0)", "quantized_kv: capacity=0 is not allowed; give at least 1"),
        ("quantized_kv(execution=compiled)", "quantized_kv.*: execution=compiled is not supported .*; give eager"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_line(label, told):
    with pytest.raises(StrategyError, match=told):
        parse(label)


def test_a_target_beyond_the_capacity_is_refused():
    told = "quantized_kv: capacity=4 cannot hold a target of 5 tokens; give capacity=5 or more, or leave it out"
    with pytest.raises(StrategyError, match=told):
        parse("quantized_kv(capacity=4)").bind(5)
