"""An encoder that runs as native code gives what its own modules give, for each instruction set."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from strategies import ModelSpec, load_model
from strategies.models.encoder_decoder import Encoder
from strategies.models.kernels.attention_kernel import use_attention
from strategies.models.kernels.linears import use_linear
from strategies.models.kernels.native.stages import Rows, Stages

pytestmark = pytest.mark.usefixtures("instructions")


def encode(model, batch, length, run_layers=None):
    """The encoder's output for sources of which every second one is padded."""
    draw = torch.Generator().manual_seed(length)
    source_BS = torch.randint(2, model.config.vocab_size, (batch, length), generator=draw)
    mask_BS = torch.arange(length) < torch.tensor([length, length - 2] * batch)[:batch, None]
    encoder = copy.copy(model.encoder)
    if run_layers is not None:
        vars(encoder)["run_layers"] = run_layers
    return encoder(source_BS, model.source_bias(mask_BS) if batch > 1 else None)


def native(model):
    made = copy.deepcopy(model)
    use_linear(made, "panel", 1)
    return made


@pytest.mark.parametrize("architecture", ["t5", "t5 grouped-query", "transformer2017"])
def test_it_gives_torchs_rows_for_any_length(tiny_model, architecture):
    plain = tiny_model(architecture)
    packed = native(plain)
    for batch, length in [(1, 1), (3, 4), (2, 7), (2, 33)]:
        expected_BSD = encode(plain, batch, length)
        torch.testing.assert_close(encode(packed, batch, length), expected_BSD, rtol=1e-5, atol=1e-5)


def test_more_keys_than_a_slab_holds_are_attended(tiny_model):
    plain = tiny_model("t5")
    torch.testing.assert_close(encode(native(plain), 2, 290), encode(plain, 2, 290), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head_size", [16, 17, 40, 64])
def test_heads_of_any_size_are_attended(head_size):
    shape = {
        "architecture": "t5", "vocab_size": 99, "d_model": 18, "num_heads": 2, "d_kv": head_size, "d_ff": 33,
        "encoder_layers": 1, "decoder_layers": 1,
    }  # fmt: skip
    plain = load_model(ModelSpec("heads", "random", shape=tuple(sorted(shape.items()))))
    packed = native(plain)
    for length in (15, 16, 17, 31, 33, 290):
        torch.testing.assert_close(encode(packed, 2, length), encode(plain, 2, length), rtol=1e-5, atol=1e-5)


def attend(q_BHSK, k_BHSK, v_BHSK, bias):
    """Native attention of all positions of each sentence at once, [B, H, S, K]."""
    batch, heads, length, size = q_BHSK.shape
    qkv = torch.cat([x.transpose(1, 2).flatten(2) for x in (q_BHSK, k_BHSK, v_BHSK)], 2)
    made, width, out = Stages(), qkv.shape[2], torch.empty(batch, length, heads * size)
    made.attention(Rows(0, width), 1, 2, 3, 4, heads, 1, size, 0.3)
    strides, first = [length * width, size, width], qkv.data_ptr()
    sizes = [batch, 1, length, *strides, *strides, *made.bias_strides(batch, length, length, bias)]
    k, v = (first + 4 * part * heads * size for part in (1, 2))
    made.run([first, k, v, bias.data_ptr(), out.data_ptr()], sizes, batch * length)
    return out.unflatten(2, (heads, size)).transpose(1, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_and_rows_without_a_key_are_treated_as_torch_does(value):
    for place in range(3):
        draw = torch.Generator().manual_seed(place)
        given = [torch.randn(2, 2, 35, 20, generator=draw) for _ in range(3)]
        given[place][1, 1, 3, 2] = value
        bias = torch.randn(2, 1, 35, 35, generator=draw)
        bias[0, 0, 7], bias[1, :, :, 30:] = -math.inf, -math.inf
        found = attend(*given, bias)
        expected = F.scaled_dot_product_attention(*given, attn_mask=bias, scale=0.3)
        assert torch.equal(found.isnan(), expected.isnan())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6, equal_nan=True)
        assert not found[0, :, 7].any()


def test_the_number_of_threads_changes_no_bit(tiny_model):
    packed, found = native(tiny_model("t5")), []
    for threads in (1, 2, 7):
        torch.set_num_threads(threads)
        found.append(encode(packed, 2, 70))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_no_product_and_no_attention_is_left_to_torch(tiny_model, monkeypatch):
    packed = native(tiny_model("t5"))
    monkeypatch.setattr(F, "linear", None)
    monkeypatch.setattr(F, "scaled_dot_product_attention", None)
    assert encode(packed, 2, 9).isfinite().all()


def test_a_kernel_of_attention_that_was_asked_for_computes_it(tiny_model, monkeypatch):
    packed, calls, attention = native(tiny_model("t5")), [], F.scaled_dot_product_attention
    expected_BSD = encode(packed, 2, 9, Encoder.run_layers)
    use_attention(packed, "math")
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *x, **y: calls.append(x) or attention(*x, **y))
    torch.testing.assert_close(encode(packed, 2, 9), expected_BSD, rtol=1e-5, atol=1e-5)
    assert len(calls) == len(packed.encoder.layers)
    monkeypatch.undo()
    use_attention(packed, "auto")


def test_a_number_that_is_not_finite_stays_in_its_sentence(tiny_model):
    packed = native(tiny_model("t5"))
    x_BSD = torch.randn(2, 20, packed.config.d_model, generator=torch.Generator().manual_seed(0))
    expected_BSD = packed.encoder.run_layers(packed.encoder, x_BSD, None)
    x_BSD[1, 3, 0] = float("nan")
    found_BSD = packed.encoder.run_layers(packed.encoder, x_BSD, None)
    assert torch.equal(found_BSD[0], expected_BSD[0])
    assert found_BSD[1].isnan().all()
