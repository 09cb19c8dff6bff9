"""``weights=int8 linear=panel``: native products of int8 weights and rows rounded to int8 are exact in between."""

import psutil
import pytest
import torch
import torch.nn.functional as F

from strategies import ModelError, ModelSpec, Session, load_model, parse
from strategies.models.kernels.narrow import use_weights
from strategies.models.kernels.native import compiler
from strategies.models.kernels.native.panels import Arena, floats_of, pack
from strategies.models.kernels.native.program import Memory, Program
from strategies.models.kernels.native.stages import Rows, Stages, kernels
from strategies.models.kernels.quantise import quantise
from strategies.models.layers import RMSNorm

from .conftest import SETS

pytestmark = pytest.mark.skipif(compiler.why_unavailable() != "", reason=compiler.why_unavailable())
on_each_set = pytest.mark.parametrize("instructions", SETS, indirect=True)
SHAPE = {
    "architecture": "t5", "vocab_size": 99, "d_model": 18, "num_heads": 2, "d_kv": 9, "d_ff": 33, "encoder_layers": 2,
    "decoder_layers": 2, "activation": "gelu_new", "gated": True,
}  # fmt: skip


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def packed(weight, bias=None):
    return pack(Arena(floats_of([tuple(weight.shape)], int8=True)), weight, bias, int8=True)


def run(made, width, x):
    (y,) = Program(made, False, x.shape[1], [width], Memory(), []).run([x])
    return y


def product(x, weight, bias=None):
    made, panels = Stages(), packed(weight, bias)
    made.product(Rows(0, panels.inner), panels, Rows(1, panels.outputs))
    return run(made, panels.outputs, x)


def rounded(x):
    """Rows as the kernel rounds them, in float64."""
    largest = x.abs().amax(1, keepdim=True).clamp(min=1e-30)
    return (x * (127 / largest)).round().double() * (largest / 127).double()


def reference(x, weight, bias=None):
    int8_NK, scale_N = quantise(weight, torch.float32)
    y = rounded(x) @ (int8_NK.double() * scale_N.double()[:, None]).T
    return (y if bias is None else y + bias.double()).float()


@on_each_set
@pytest.mark.parametrize(("outputs", "inner"), [(1, 1), (31, 7), (33, 100), (100, 31), (64, 64), (70, 192)])
def test_products_are_those_of_the_rounded_numbers(instructions, outputs, inner):
    weight, bias = random(outputs, inner), random(outputs)
    for rows in (1, 2, 5, 12, 13, 16, 31, 33, 65):
        x = random(rows, inner)
        for given in (None, bias):
            expected = reference(x, weight, given)
            torch.testing.assert_close(
                product(x, weight, given), expected, rtol=0, atol=1e-6 * float(expected.abs().max() + 1)
            )


@on_each_set
@pytest.mark.parametrize(
    ("rows", "outputs", "inner"), [(1100, 40, 520), (1100, 40, 576), (100, 200, 6001), (100, 200, 6016)]
)
def test_panels_that_stay_in_the_cache_and_panels_that_do_not_are_met_in_turn(instructions, rows, outputs, inner):
    x, weight = random(rows, inner), random(outputs, inner)
    expected = reference(x, weight)
    torch.testing.assert_close(product(x, weight), expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


@on_each_set
@pytest.mark.parametrize(("rows", "inner"), [(3, 2048), (18, 2048), (18, 2**17)])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, -1)])
def test_the_largest_numbers_everywhere_do_not_saturate(instructions, rows, inner, signs):
    x, weight = (sign * torch.full((size, inner), 127.0) for sign, size in zip(signs, (rows, 33), strict=True))
    exact = float(signs[0] * signs[1] * 127 * 127 * inner)
    assert (product(x, weight) == exact).all()


@on_each_set
@pytest.mark.parametrize(("rows", "inner"), [(6, 19), (20, 64)])
def test_rows_of_zeros_and_of_numbers_that_are_not_finite_leave_other_rows_alone(instructions, rows, inner):
    weight, bias = random(33, inner), random(33)
    x = random(rows, inner)
    x[1], x[2, 3], x[3, 18], x[4] = 0, float("nan"), float("-inf"), 1e-38
    y = product(x, weight, bias)
    assert torch.equal(y[1], bias)
    assert torch.equal(y[4], bias)
    assert y[2:4].isnan().all()
    others = [0, *range(5, rows)]
    assert torch.equal(y[others], product(x[others], weight, bias))


@on_each_set
@pytest.mark.parametrize(("rows", "width", "inner"), [(7, 30, 50), (37, 64, 128)])
def test_the_halves_of_a_gated_network_read_rows_that_are_normed_and_rounded_once(instructions, rows, width, inner):
    norm, gate, linear, out = RMSNorm(width, 1e-6), random(inner, width), random(inner, width), random(width, inner)
    given, made, hidden = Rows(0, width), Stages(), Rows(3, inner)
    made.product(given, packed(gate), hidden, norm=norm, normed=2, activation="relu")
    made.product(given, packed(linear), hidden, norm=norm, multiplies=True, waits=False)
    made.product(hidden, packed(out), Rows(1, width), residual=given)
    x = random(rows, width)
    y, normed, between = Program(made, False, width, [width, width, inner], Memory(), []).run([x])
    torch.testing.assert_close(normed, norm(x).detach())
    torch.testing.assert_close(between, F.relu(reference(normed, gate)) * reference(normed, linear))
    torch.testing.assert_close(y, reference(between, out) + x)


@on_each_set
@pytest.mark.parametrize(("rows", "outputs", "inner"), [(13, 100, 40), (37, 100, 64), (37, 1, 64)])
def test_threads_share_the_rounding_and_change_nothing(instructions, rows, outputs, inner):
    x, weight = random(rows, inner), random(outputs, inner)
    found = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        found.append(product(x, weight))
    torch.set_num_threads(1)
    assert all(torch.equal(found[0], other) for other in found[1:])


@on_each_set
def test_tiles_are_used_for_rows_that_fill_one_and_widths_that_fill_each(instructions):
    has_tiles = instructions.name == "amx_int8"
    cases = [(16, 64), (1024, 512), (15, 64), (16, 63), (1024, 96)]
    assert [bool(kernels().uses_tiles(*case)) for case in cases] == [has_tiles, has_tiles, False, False, False]


def test_what_many_rounded_rows_took_is_given_back():
    """Beyond 64 MiB: the rows are rounded to 80 MB."""
    panels, made = packed(random(1, 8000)), Stages()
    made.product(Rows(0, 8000), panels, Rows(1, 1))
    one = torch.zeros(1, 8000)
    run(made, 1, one)
    before = psutil.Process().memory_info().rss
    run(made, 1, one.repeat(10_000, 1))
    assert psutil.Process().memory_info().rss - before < 40e6


@pytest.fixture(scope="module")
def models():
    """A model with odd widths and one with the same weights in int8 panels."""
    spec = ModelSpec("odd", "random", shape=tuple(sorted(SHAPE.items())))
    whole, narrow = load_model(spec), load_model(spec)
    use_weights(narrow, "int8", "panel")
    return whole, narrow


def logits(model, strategy, rows=3):
    session = Session(model, parse(strategy), rows, 7, 6)
    session.prefill(torch.randint(2, 99, (rows, 7), generator=torch.Generator().manual_seed(0)))
    return torch.stack([session.step(torch.full((rows,), k + 2)).clone() for k in range(6)])


def test_every_way_to_decode_is_near_the_whole_weights(models):
    whole, narrow = models
    expected = logits(whole, "static_kv")
    for strategy in ("full_recompute", "contiguous_kv", "static_kv"):
        error = float((logits(narrow, strategy) - expected).abs().max() / expected.abs().max())
        assert 0 < error < 0.06


def test_what_does_not_go_together_is_said():
    spec = ModelSpec("odd", "random", shape=tuple(sorted({**SHAPE, "d_ff": 2**17 + 1, "d_model": 2}.items())))
    with pytest.raises(
        ModelError, match=r"^weights=int8 with linear=panel is not allowed with d_ff = 131073: it takes"
    ):
        use_weights(load_model(spec), "int8", "panel")
    with pytest.raises(ModelError, match=r"^linear=mkl is not allowed with weights=int8, .* or give linear=panel$"):
        use_weights(load_model(spec), "int8", "mkl")
