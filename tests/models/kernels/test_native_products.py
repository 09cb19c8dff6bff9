"""Products, norms and activations of native code give torch's results, for each instruction set."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from strategies.models.kernels.native.panels import Arena, floats_of, pack
from strategies.models.kernels.native.program import Memory, Program
from strategies.models.kernels.native.stages import ACTIVATIONS, Rows, Stages
from strategies.models.layers import ACTIVATIONS as OF_TORCH
from strategies.models.layers import RMSNorm

WIDTHS = (1, 7, 31, 33, 100)
NORMS = [functools.partial(RMSNorm, eps=1e-6), nn.LayerNorm]
pytestmark = pytest.mark.usefixtures("instructions")


@pytest.fixture
def draw():
    """``draw(*shape)``: normal numbers."""
    return functools.partial(torch.randn, generator=torch.Generator().manual_seed(0))


def panels(weight_NK, bias_N=None):
    return pack(Arena(floats_of([tuple(weight_NK.shape)])), weight_NK, bias_N)


def run(stages, given, *widths):
    return Program(stages, False, given[-1].shape[1], widths, Memory(), [])(given)


def product(x_XK, weight_NK, bias_N=None, **options):
    """The product alone."""
    (outputs, inner), stages = weight_NK.shape, Stages()
    stages.product(Rows(0, inner), panels(weight_NK, bias_N), Rows(1, outputs), **options)
    return run(stages, [x_XK], outputs)[0]


def assert_near(found, expected):
    """Within 1e-5 of the largest number, where there is one."""
    torch.testing.assert_close(found, expected.to(found), rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_a_product_of_any_number_of_rows_equals_torchs(draw):
    weight_NK, bias_N, x_XK = draw(83, 31), draw(83), draw(65, 31)
    expected_XN = F.linear(x_XK.double(), weight_NK.double(), bias_N.double())
    for rows in range(1, 66):
        assert_near(product(x_XK[:rows], weight_NK, bias_N), expected_XN[:rows])


def test_a_product_of_more_rows_than_meet_a_panel_at_once_equals_torchs(draw):
    weight_NK, x_XK = draw(40, 3000), draw(100, 3000)
    assert_near(product(x_XK, weight_NK), x_XK.double() @ weight_NK.double().T)


@pytest.mark.parametrize("has_bias", [False, True])
def test_a_product_of_any_width_equals_torchs(draw, has_bias):
    for outputs in WIDTHS:
        for inner in WIDTHS:
            weight_NK, bias_N, x_XK = draw(outputs, inner), draw(outputs) if has_bias else None, draw(5, inner)
            assert_near(product(x_XK, weight_NK, bias_N), F.linear(x_XK, weight_NK, bias_N))


@pytest.mark.parametrize("activation", [kind for kind in ACTIVATIONS if kind])
def test_an_activation_equals_torchs(activation):
    x_XK = torch.linspace(-95, 95, 19_001)[:, None]
    assert_near(product(x_XK, torch.ones(1, 1), activation=activation), OF_TORCH[activation](x_XK.double()))


def test_the_exponential_function_is_exact_within_two_units_in_the_last_place():
    """exp(-x) = x / silu(x) - 1, where it is not small beside 1."""
    x_X = torch.linspace(-86, -17, 20_011)
    silu_X = product(x_X[:, None], torch.ones(1, 1), activation="silu")[:, 0].double()
    assert float((silu_X * (1 + (-x_X.double()).exp()) / x_X.double() - 1).abs().max()) < 4 * 2**-23


@pytest.mark.parametrize("activation", [None, "gelu"])
def test_a_gated_product_multiplies_the_first_half_and_adds_the_residual(draw, activation):
    gate_NK, linear_NK, x_XK, residual_XN = draw(33, 7), draw(33, 7), draw(4, 7), draw(4, 33)
    stages, x, y = Stages(), Rows(1, 7), Rows(2, 33)
    stages.product(x, panels(gate_NK), y, activation=activation)
    stages.product(x, panels(linear_NK), y, multiplies=True, residual=Rows(0, 33), waits=False)
    gate_XN = x_XK @ gate_NK.T
    expected_XN = (F.gelu(gate_XN) if activation else gate_XN) * (x_XK @ linear_NK.T) + residual_XN
    assert_near(run(stages, [residual_XN, x_XK], 33)[0], expected_XN)


@pytest.mark.parametrize("norm", NORMS, ids=["rms", "layer"])
@pytest.mark.parametrize("width", [1, 14, 16, 33])
def test_rows_are_normed_before_the_product_and_written_out(draw, norm, width):
    """Rows of zeros and large ones, with a mean that is not zero."""
    norm_D = norm(width).requires_grad_(False)
    for parameter in norm_D.parameters():
        parameter.copy_(draw(width))
    x_XD = torch.stack([torch.zeros(width), draw(width), 1e4 * (draw(width) + 3)])
    weight_ND, stages = draw(9, width), Stages()
    stages.product(Rows(0, width), panels(weight_ND), Rows(1, 9), norm=norm_D, normed=2)
    stages.norm(Rows(0, width), norm_D, 3)
    found_XN, normed_XD, alone_XD = run(stages, [x_XD], 9, width, width)
    expected_XD = norm_D.double()(x_XD.double())
    assert_near(normed_XD, expected_XD)
    assert_near(found_XN, expected_XD @ weight_ND.double().T)
    assert torch.equal(alone_XD, normed_XD)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_stays_in_its_row_and_its_output(draw, value):
    weight_NK, x_XK = draw(40, 7), draw(14, 7)
    x_XK[3, 2] = value
    assert (product(x_XK, weight_NK).isfinite().all(1) == x_XK.isfinite().all(1)).all()
    for norm in NORMS:
        assert product(x_XK, weight_NK, norm=norm(7).requires_grad_(False))[3].isnan().all()
    for activation in ("relu", "gelu", "gelu_new", "silu"):
        found = product(torch.tensor([[value]]), torch.ones(1, 1), activation=activation)
        torch.testing.assert_close(found[0, 0], OF_TORCH[activation](torch.tensor(value)), equal_nan=True)
    weight_NK[35, 2] = value
    found_XN = product(x_XK[:3], weight_NK)
    assert (found_XN.isfinite().all(0) == (torch.arange(40) != 35)).all()


def test_denormal_numbers_are_multiplied_and_added():
    small = torch.full((1, 1), 1e-40)
    assert product(small, torch.ones(1, 1)).item() == small.item() != 0
    assert product(torch.ones(1, 1), small, small[0]).item() == 2 * small.item()


def test_a_weight_that_is_not_dense_is_packed_as_it_reads(draw):
    weight_NK, x_XK = draw(300, 700).T, draw(2, 300)
    assert_near(product(x_XK, weight_NK), x_XK @ weight_NK.T)


@pytest.mark.parametrize("rows", [1, 14])
def test_the_number_of_threads_changes_no_bit(draw, rows):
    weight_NK, bias_N, x_XK, norm = draw(100, 33), draw(100), draw(rows, 33), RMSNorm(33, 1e-6).requires_grad_(False)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(product(x_XK, weight_NK, bias_N, norm=norm, activation="silu"))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_many_rows_make_what_few_make_whatever_the_number_of_threads(draw):
    """A norm, a product and a residual sum of 530 rows, at once and in parts of 53."""
    weight_NK, bias_N, x_XK, norm = draw(70, 520), draw(70), draw(530, 520), RMSNorm(520, 1e-6).requires_grad_(False)
    stages, x, y = Stages(), Rows(1, 520), Rows(2, 70)
    stages.product(x, panels(weight_NK, bias_N), y, norm=norm, normed=3, activation="relu", residual=Rows(0, 70))
    residual_XN = draw(530, 70)
    few = [run(stages, [*given], 70, 520) for given in zip(residual_XN.split(53), x_XK.split(53), strict=True)]
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        for found, expected in zip(run(stages, [residual_XN, x_XK], 70, 520), zip(*few, strict=True), strict=True):
            assert torch.equal(found, torch.cat(expected))
