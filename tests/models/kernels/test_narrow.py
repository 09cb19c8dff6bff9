"""Weights narrower than activations: how far off, and the same for every strategy."""

import copy

import pytest
import torch

from strategies import ModelError, ModelSpec, Session, load_model, parse
from strategies.models.head import Head
from strategies.models.kernels.narrow import use_weights
from strategies.models.kernels.packing import products
from strategies.models.kernels.quantise import quantise

SHAPE = {
    "architecture": "t5", "vocab_size": 61, "d_model": 32, "num_heads": 2, "d_kv": 16, "d_ff": 48, "encoder_layers": 1,
    "decoder_layers": 2,
}  # fmt: skip


def model_of(**changes):
    return load_model(ModelSpec("sliver", "random", shape=tuple(sorted((SHAPE | changes).items()))))


WHOLE = model_of()
NARROW = ["bf16", "int8"]
HALF_STEP = {"bf16": 2**-8, "int8": 0.5 / 127}
"""The most that an element of a weight is off: bf16 of itself, int8 of the largest of its row."""


def narrowed(kind, whole=WHOLE):
    model = copy.deepcopy(whole)
    return model, use_weights(model, kind)


def logits(model, strategy, rows):
    session = Session(model, parse(strategy), rows, 7, 6)
    session.prefill(torch.randint(2, 61, (rows, 7), generator=torch.Generator().manual_seed(0)))
    return torch.stack([session.step(torch.full((rows,), k + 2)).clone() for k in range(6)])


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", NARROW)
def test_every_strategy_decodes_by_the_same_narrow_weights(kind, rows):
    model, _ = narrowed(kind)
    oracle = logits(model, "full_recompute", rows)
    for strategy in ("cross_kv", "contiguous_kv", "static_kv"):
        torch.testing.assert_close(logits(model, strategy, rows), oracle, rtol=0, atol=0.02 * float(oracle.abs().max()))


@pytest.mark.parametrize("kind", NARROW)
def test_logits_are_near_those_of_the_whole_weights_and_not_the_same(kind):
    """Each of a dozen products in a row is off by at most its weights' rounding and that of activations to bf16."""
    whole, found = logits(WHOLE, "static_kv", 2), logits(narrowed(kind)[0], "static_kv", 2)
    error = float((whole - found).abs().max() / whole.abs().max())
    assert 0 < error < 12 * (HALF_STEP[kind] + 2**-8)


@pytest.mark.parametrize("kind", NARROW)
def test_a_product_is_off_by_no_more_than_its_weights_and_its_roundings(kind):
    model, _ = narrowed(kind)
    draw = torch.Generator().manual_seed(1)
    for whole, narrow in zip(products(WHOLE), products(model), strict=True):
        x = torch.randn(3, 1, whole.weight.shape[1], generator=draw)
        project = [getattr(module, "project" if isinstance(module, Head) else "forward") for module in (whole, narrow)]
        expected, found = (call(x) for call in project)
        largest = x.abs().sum(-1, keepdim=True) * whole.weight.abs().amax(1)
        assert ((found - expected).abs() <= (HALF_STEP[kind] + 2 * 2**-8) * largest + 2**-8 * expected.abs()).all()


def test_int8_is_off_by_half_a_scale_at_most():
    """Of the scales that products multiply by; 500 rows have one whose rounding to bfloat16 is almost the largest."""
    weight_XD = torch.randn(500, 32, generator=torch.Generator().manual_seed(2))
    weight_XD[3] = 0
    weight_XD[4] *= 1e-38
    int8_XD, scale_X = quantise(weight_XD, torch.bfloat16)
    assert scale_X.dtype == torch.bfloat16
    assert int8_XD.abs().amax(1)[[0, 1, 3, *range(5, 500)]].unique().tolist() == [0, 127]
    scale_X1 = scale_X.double()[:, None]
    assert ((int8_XD * scale_X1 - weight_XD).abs() <= 0.5001 * scale_X1).all()


@pytest.mark.parametrize("rows", [1, 3])
def test_products_multiply_by_the_scales_that_weights_were_divided_by(rows):
    """Of a row of a unit matrix the eager product is int8 * scale to the bit, which half a scale bounds."""
    model, _ = narrowed("int8")
    for whole, narrow in zip(products(WHOLE), products(model), strict=True):
        int8_XD, scale_X = quantise(whole.weight, torch.bfloat16)
        x = torch.eye(whole.weight.shape[1])[:rows]
        call = getattr(narrow, "project" if isinstance(narrow, Head) else "forward")
        assert torch.equal(call(x), (int8_XD * scale_X[:, None]).bfloat16().float().T[:rows])


def test_copies_are_as_narrow_as_they_say():
    elements = sum(module.weight.numel() for module in products(WHOLE))
    outputs = sum(len(module.weight) for module in products(WHOLE))
    assert [narrowed(kind)[1] for kind in ("fp32", *NARROW)] == [0, 2 * elements, elements + 2 * outputs]


@pytest.mark.parametrize("kind", NARROW)
def test_a_compiled_step_takes_them(kind):
    model, _ = narrowed(kind, model_of(decoder_layers=1))  # small, as each part takes time to compile
    expected, found = (logits(model, s, 1) for s in ("static_kv", "static_kv(execution=compiled,read=bucket)"))
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("int4", {}, "weights=int4 is not known; known: fp32, bf16, int8"),
        ("int8", {"dtype": torch.bfloat16}, "weights=int8 takes a float32 model, not torch.bfloat16; give dtype=fp32"),
        ("bf16", {"d_model": 35}, r"with d_model = 35: it takes widths that are multiples of 2; give weights=fp32"),
        ("int8", {"d_model": 35}, r"d_model = 35: .* multiples of 16; give weights=fp32"),
        ("int8", {"encoder_d_ff": 40}, r"the encoder's d_ff = 40: .* multiples of 16"),
        ("int8", {"d_model": 36}, r"d_model = 36: .* multiples of 16; give weights=bf16 or weights=fp32"),
    ],
)
def test_what_cannot_be_is_said(kind, changes, message):
    shape = {**SHAPE, **changes}
    dtype = shape.pop("dtype", torch.float32)
    model = load_model(ModelSpec("sliver", "random", shape=tuple(sorted(shape.items()))), dtype)
    with pytest.raises(ModelError, match=message):
        use_weights(model, kind)
