"""An encoder that runs as native code gives what its own modules give, for each instruction set."""

import copy

import pytest
import torch
import torch.nn.functional as F

from strategies.models.encoder_decoder import Encoder
from strategies.models.kernels.attention_kernel import use_attention
from strategies.models.kernels.linears import use_linear

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
