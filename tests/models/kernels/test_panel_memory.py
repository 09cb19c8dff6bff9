"""``linear=panel`` holds each weight once: panels take the place of the plain weights, which can be made again."""

import copy

import pytest
import torch

from strategies import Session, parse
from strategies.models.config import ModelError
from strategies.models.head import Head
from strategies.models.held import held, is_replaced, plain, plain_bytes
from strategies.models.kernels import linears
from strategies.models.kernels.linears import use_linear
from strategies.models.kernels.narrow import use_weights
from strategies.models.kernels.native.compiler import why_unavailable
from strategies.models.kernels.packing import Choice, products, unavailable
from strategies.models.parameters import FP32, panel_elements
from suites.contenders.running.cache import digest

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason="linear=panel is not to be had here")


@pytest.fixture(params=["t5", "transformer2017"])
def pair(tiny_model, request):
    """(a model, the same with its weights in panels): the first gated with a head of its own, the second tied."""
    model = tiny_model(request.param)
    packed = copy.deepcopy(model)
    use_linear(packed, "panel", 2)
    return model, packed


def test_no_weight_of_a_product_is_held_beside_its_panels(pair):
    model, packed = pair
    weights = {module.weight.data_ptr(): module.weight for module in products(model)}
    rest = sum(weight.nbytes for weight in model.parameters()) - sum(weight.nbytes for weight in weights.values())
    assert plain_bytes(packed) == rest
    assert sum(tensor.nbytes for tensor in held(packed)) == rest + FP32 * panel_elements(model.config)
    storages = {weight.untyped_storage()._cdata: weight.untyped_storage() for weight in packed.parameters()}
    one_element = FP32 * len(weights)
    assert sum(storage.nbytes() for storage in storages.values()) == rest + one_element


def test_the_plain_weights_are_made_again_bit_for_bit(pair):
    model, packed = pair
    for (name, expected), found in zip(model.named_parameters(), packed.parameters(), strict=True):
        assert torch.equal(plain(found), expected), name
    assert digest(packed) == digest(copy.deepcopy(packed)) == digest(model)


def test_a_state_dict_holds_the_plain_weights_and_shares_what_the_model_shares(pair):
    model, packed = pair
    expected, found = model.state_dict(), packed.state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert len({t.data_ptr() for t in found.values()}) == len({t.data_ptr() for t in expected.values()})
    assert torch.equal(packed.lm_head.state_dict()["weight"], model.lm_head.weight)


@pytest.mark.parametrize("assign", [True, False])
def test_no_state_dict_is_loaded_where_products_read_copies(pair, assign):
    model, packed = pair
    transposed = copy.deepcopy(model)
    use_linear(transposed, "transposed", 2)
    for each in (packed, transposed):
        with pytest.raises(ModelError, match="load it into a new model, and choose the kernel afterwards"):
            each.load_state_dict(model.state_dict(), assign=assign)
    with pytest.raises(ModelError):
        packed.lm_head.load_state_dict(model.lm_head.state_dict(), assign=assign)


def test_a_product_that_reads_a_replaced_weight_by_mistake_is_nan(pair):
    _, packed = pair
    weight = packed.lm_head.weight
    assert torch.nn.functional.linear(torch.ones(1, weight.shape[1]), weight).isnan().all()


def test_rows_of_the_embedding_are_equal_bit_for_bit_also_in_compiled_code(pair):
    model, packed = pair
    token_BT = torch.arange(len(model.embedding.weight)).flip(0)[:28].view(2, 14)
    assert torch.equal(packed.embedding(token_BT), model.embedding(token_BT))
    traced = torch.compile(lambda ids: packed.embedding(ids), backend="eager", fullgraph=True)
    assert torch.equal(traced(token_BT), model.embedding(token_BT))
    for wrong in (-1, len(model.embedding.weight)):
        with pytest.raises(IndexError):
            packed.embedding(torch.tensor([[1, wrong]]))


@pytest.mark.parametrize(
    ("linear", "weights"), [("transposed", ""), ("onednn", ""), ("torch", "bf16"), ("torch", "int8"), ("panel", "int8")]
)
@pytest.mark.parametrize("tie_head", [False, True])
def test_other_copies_replace_all_weights_but_that_of_the_embedding(tiny_model, linear, weights, tie_head):
    """The weights that are made again are those by which products multiply."""
    model = tiny_model("t5", tie_head=tie_head, d_model=16, d_ff=32, num_heads=2, d_kv=16)
    packed = copy.deepcopy(model)
    if why := unavailable(packed, linear):
        pytest.skip(why)
    use_weights(packed, weights, linear) if weights else use_linear(packed, linear, 2)
    replaced = [module for module in products(packed) if is_replaced(module.weight)]
    assert len(replaced) == len(list(products(packed))) - tie_head
    for expected, module in zip(products(model), products(packed), strict=True):
        again, x = plain(module.weight), torch.randn(3, module.weight.shape[1])
        assert (again - expected.weight).abs().max() <= (expected.weight.abs().max() / 200 if weights else 0)
        found = (module.project if isinstance(module, Head) else module)(x)
        product = torch.nn.functional.linear(x, again, module.bias)
        torch.testing.assert_close(found, product, rtol=0.02, atol=0.02 * float(product.abs().max()))
    with pytest.raises(ModelError, match="load it again to give it another kernel"):
        use_linear(packed, "transposed", 2)


@pytest.mark.parametrize("other", ["onednn", "torch"])
def test_auto_keeps_the_plain_weights_where_another_kernel_reads_them(tiny_model, monkeypatch, other):
    model = copy.deepcopy(tiny_model("transformer2017"))
    if unavailable(model, other):
        pytest.skip(unavailable(model, other))

    def chosen(model, rows, rows_max, compiled):
        shapes = dict.fromkeys(tuple(module.weight.shape) for module in products(model))
        return [Choice(shape, *one, 0.5) for shape in shapes for one in ((rows, "panel"), (None, other))]

    monkeypatch.setattr(linears, "choose", chosen)
    whole = plain_bytes(model)
    use_linear(model, "auto", 2, 30)
    assert (plain_bytes(model) == whole) == (other == "torch")
    plain_model = tiny_model("transformer2017")
    sessions = [Session(each, parse("static_kv"), 2, 12, 3) for each in (plain_model, model)]
    for session in sessions:
        session.prefill(torch.full((2, 12), 3))
    for k in range(3):
        expected, found = (session.step(torch.full((2,), k + 2)) for session in sessions)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
