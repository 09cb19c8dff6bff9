"""The bytes of weights by formula, against those of built models; what no memory holds is refused before it is made."""

import copy

import pytest
import torch

from strategies import DTYPES, ModelConfig, ModelError
from strategies.models.held import plain_bytes
from strategies.models.kernels.linears import use_linear
from strategies.models.kernels.narrow import use_weights
from strategies.models.kernels.native.compiler import why_unavailable
from strategies.models.parameters import copy_bytes, parameter_bytes, parameters

from ..conftest import SHAPE

needs_native = pytest.mark.skipif(why_unavailable() != "", reason=why_unavailable())
EVEN = {"d_model": 16, "d_ff": 32, "num_heads": 2, "d_kv": 16}
"""Inputs that the int8 product takes."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tie_head", [False, True])
def test_parameters_by_formula_are_those_of_the_built_model(tiny_model, architecture, dtype, tie_head):
    model = tiny_model(architecture, DTYPES[dtype], tie_head=tie_head)
    assert parameters(model.config) == sum(p.numel() for p in model.parameters())
    assert parameter_bytes(model.config, dtype) == sum(p.nbytes for p in model.parameters())


@pytest.mark.parametrize("architecture", ["t5", "transformer2017"])
@pytest.mark.parametrize(
    ("dtype", "linear", "weights"),
    [
        ("fp32", "transposed", ""),
        ("fp16", "transposed", ""),
        ("fp32", "fused", ""),
        ("fp32", "panel", ""),
        ("fp32", "torch", "bf16"),
        ("fp32", "torch", "int8"),
        pytest.param("fp32", "panel", "int8", marks=needs_native),
    ],
)
def test_what_copies_add_by_formula_is_what_they_add(tiny_model, architecture, dtype, linear, weights):
    model = copy.deepcopy(tiny_model(architecture, DTYPES[dtype], seed=7, num_kv_heads=1, **EVEN))
    held = use_weights(model, weights, linear) if weights else use_linear(model, linear, 1).copy_bytes
    added = plain_bytes(model) + held - parameter_bytes(model.config, dtype)
    assert copy_bytes(model.config, dtype, linear, weights) == added


@pytest.mark.parametrize("name", ["encoder_layers", "decoder_layers"])
def test_layers_beyond_any_model_are_refused_before_one_is_made(name):
    with pytest.raises(ModelError, match=f"{name}=1000000 must be a whole number of at least 1 and at most 10000"):
        ModelConfig(**{**SHAPE, name: 1_000_000})
    with pytest.raises(
        ModelError, match="d_ff=100000000000000000000 must be a whole number of at least 1 and at most 2147483647"
    ):
        ModelConfig(**{**SHAPE, "d_ff": 10**20})


def test_a_wrong_number_of_kv_heads_is_refused_without_trying_every_divisor():
    with pytest.raises(
        ModelError, match=r"^num_kv_heads=3 does not divide num_heads=2000000000; give one of 1, 2, 4, "
    ):
        ModelConfig(**{**SHAPE, "num_heads": 2_000_000_000, "num_kv_heads": 3})


def test_a_model_of_thousands_of_layers_takes_what_the_formula_says():
    config = ModelConfig(**{**SHAPE, "d_model": 2, "d_ff": 1, "d_kv": 1, "num_heads": 1, "decoder_layers": 300})
    from strategies.models.encoder_decoder import EncoderDecoder

    with torch.device("meta"):
        assert sum(p.nbytes for p in EncoderDecoder(config).parameters()) == parameter_bytes(config, "fp32")
