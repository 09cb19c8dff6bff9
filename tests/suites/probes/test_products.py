"""The recorder of matrix products, against values worked out by hand."""

import doctest
import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from strategies.models.costs import Product
from suites.probes import ProbeError, record, role_of, tally

B, T, M, D, H, K = 2, 3, 5, 8, 4, 7


class EagerAttention(nn.Module):
    """Attention written with matmul and softmax, as many models have it; its mask's own product comes after."""

    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Linear(D, H * K, bias=False)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x_BTD: Tensor, kv_BHMK: Tensor) -> Tensor:
        q_BHTK = self.q(x_BTD).view(B, T, H, K).transpose(1, 2)
        weight_BHTM = self.softmax(torch.matmul(q_BHTK, kv_BHMK.transpose(2, 3)))
        return torch.matmul(weight_BHTM, kv_BHMK)


class Fused(nn.Module):
    def forward(self, q: Tensor, k: Tensor, v: Tensor, **options: object) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, **options)


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ArithmeticError("on purpose")


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def products_of(model: nn.Module, *inputs: Tensor, mode=torch.no_grad, **options: object) -> list[Product]:
    with mode(), record(model) as recording:
        model(*inputs, **options)
    return tally(recording.products)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_is_one_plain_product_of_all_its_rows(mode, bias):
    model = nn.Sequential(nn.Linear(D, 6, bias=bias))
    assert products_of(model, torch.ones(B, T, D), mode=mode) == [Product("0", 1, B * T, D, 6)]


def test_a_linear_of_rows_that_cannot_be_flattened_is_still_one_plain_product_with_its_weight_once():
    model = nn.Linear(D, 6)
    with torch.no_grad(), record(model) as recording:
        model(torch.ones(T, B, D).transpose(0, 1))
    (found,) = recording.products
    assert found.product == Product("Linear", 1, B * T, D, 6)
    assert found.operand_bytes == D * 6 * 4


def test_a_linear_of_a_single_vector_is_one_row():
    assert products_of(nn.Linear(D, 6), torch.ones(D)) == [Product("Linear", 1, 1, D, 6)]


def test_a_matrix_times_a_vector_is_one_row_of_the_transposed_matrix():
    matrix = torch.ones(6, D)
    with torch.no_grad(), record(nn.Identity()) as recording:
        matrix @ torch.ones(D)
    (found,) = recording.products
    assert found.product == Product("outside", 1, 1, D, 6)
    assert found.operand_bytes == matrix.nbytes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_a_convolution_is_one_product_of_a_row_for_each_place_of_its_kernel(mode):
    model = nn.Sequential(nn.Conv1d(D, 6, kernel_size=3, stride=2, padding=1), nn.Conv2d(1, 7, (2, 3), bias=False))
    features_BDT = torch.ones(B, D, 9)
    with mode(), record(model) as recording:
        model[1](model[0](features_BDT)[:, None])
    first, second = recording.products
    assert first.product == Product("0", 1, B * 5, 3 * D, 6)
    assert second.product == Product("1", 1, B * 5 * 3, 2 * 3, 7)
    assert (first.input_bytes, first.operand_bytes) == (features_BDT.nbytes, 3 * D * 6 * 4)
    assert (first.output_bytes, first.operand_address) == (B * 5 * 6 * 4, model[0].weight.data_ptr())


@pytest.mark.parametrize("backend", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_fused_attention_is_opened_into_scores_and_context(backend, mode):
    q, k = torch.ones(B, H, T, K), torch.ones(B, H, M, K)
    with sdpa_kernel(backend):
        found = products_of(Fused(), q, k, k, mode=mode)
    assert found == [Product("Fused.context", B * H, T, M, K), Product("Fused.scores", B * H, T, K, M)]


def test_causal_attention_counts_every_pair():
    q = torch.ones(B, H, T, K)
    found = products_of(Fused(), q, q, q, is_causal=True)
    assert found == [Product("Fused.context", B * H, T, T, K), Product("Fused.scores", B * H, T, K, T)]


def test_the_operand_of_attention_is_k_or_v_as_stored():
    q, kv = torch.ones(B, H, T, K), torch.ones(B, 2, M, K)
    with torch.no_grad(), record(Fused()) as recording:
        F.scaled_dot_product_attention(q, kv, kv, enable_gqa=True)
    scores, context = recording.products
    assert (scores.product.batch, context.product.batch) == (B * H, B * H)
    assert (scores.input_bytes, scores.operand_bytes, scores.output_bytes) == (q.nbytes, kv.nbytes, 0)
    assert (context.input_bytes, context.operand_bytes, context.output_bytes) == (0, kv.nbytes, q.nbytes)
    assert scores.operand_address == context.operand_address == kv.data_ptr()


def test_eager_attention_is_told_apart_by_its_softmax_even_if_that_is_a_module():
    model = nn.ModuleList([EagerAttention(), nn.ModuleDict({"attn": EagerAttention()})])
    with torch.no_grad(), record(model) as recording:
        for attention in (model[0], model[1]["attn"]):
            attention(torch.ones(B, T, D), torch.ones(B, H, M, K))
    assert tally(recording.products[3:]) == [
        Product("attn.context", B * H, T, M, K),
        Product("attn.q", 1, B * T, D, H * K),
        Product("attn.scores", B * H, T, K, M),
    ]
    assert [r.path for r in recording.products] == ["0.q", "0", "0", "1.attn.q", "1.attn", "1.attn"]


def test_batched_products_are_an_attention_only_around_a_softmax():
    with torch.no_grad(), record(nn.Identity()) as recording:
        torch.bmm(torch.ones(2, 3, 4), torch.ones(2, 4, 5))
        torch.ones(3).softmax(0)
        torch.baddbmm(torch.ones(2, 3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5))
    assert [r.product.role for r in recording.products] == ["outside.scores", "outside.context"]
    with torch.no_grad(), record(nn.Identity()) as recording:
        torch.bmm(torch.ones(2, 3, 4), torch.ones(2, 4, 5))
    assert tally(recording.products) == [Product("outside", 2, 3, 4, 5)]


def test_a_role_is_the_path_without_lists_of_layers():
    layer = nn.ModuleDict({"attn": nn.Sequential(nn.Linear(2, 2)), "heads": nn.ModuleList([nn.Linear(2, 2)])})
    model = nn.ModuleDict({"encoder": nn.ModuleDict({"layers": nn.ModuleList([layer])})})
    roles = {path: role_of(model, path) for path, _ in model.named_modules()}
    assert roles == {
        "": "ModuleDict",
        "encoder": "encoder",
        "encoder.layers": "encoder.layers",
        "encoder.layers.0": "encoder.layers",
        "encoder.layers.0.attn": "encoder.attn",
        "encoder.layers.0.attn.0": "encoder.attn.0",
        "encoder.layers.0.heads": "encoder.heads",
        "encoder.layers.0.heads.0": "encoder.heads",
    }


def test_equal_products_are_merged_and_counted_and_differing_ones_are_not():
    model = nn.ModuleList([nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, 1)])
    with torch.no_grad(), record(model) as recording:
        for layer in (model[0], model[1], model[0], model[2]):
            layer(torch.ones(1, D))
    assert tally(recording.products) == [Product("ModuleList", 1, 1, D, 1), Product("ModuleList", 1, 1, D, D, count=3)]


def test_bytes_follow_the_dtype_of_each_factor():
    model = nn.Linear(D, 6, bias=False).bfloat16()
    with torch.no_grad(), record(model) as recording:
        model(torch.ones(T, D, dtype=torch.bfloat16))
    (found,) = recording.products
    assert (found.input_bytes, found.operand_bytes, found.output_bytes) == (T * D * 2, D * 6 * 2, T * 6 * 2)
    assert found.operand_address == model.weight.data_ptr()


def test_copies_are_recorded_with_the_bytes_that_they_write():
    cache, row = torch.zeros(B, H, M, K), torch.ones(B, H, 1, K)
    with torch.no_grad(), record(nn.Identity()) as recording:
        torch.cat((cache, row), dim=2)
        cache.index_copy_(2, torch.tensor([1]), row)
        cache[:, :, 2:4] = 1.0
        cache[:, :, 2:4] = torch.ones(B, H, 2, K)
        cache[:, :, torch.tensor([4, 0])]
    assert [(c.operator, c.shape[2]) for c in recording.copies] == [
        ("cat", M + 1),
        ("index_copy_", 1),
        ("copy_", 2),
        ("index", 2),
    ]
    assert [c.written_bytes for c in recording.copies] == [B * H * K * 4 * rows for rows in (M + 1, 1, 2, 2)]


def test_hooks_exist_only_while_recording():
    model = nn.Sequential(nn.Linear(D, D))
    with record(model):
        assert hooks_of(model) == 2 * 2
    assert hooks_of(model) == 0


def test_an_error_of_the_model_removes_the_hooks_and_unwinds_the_roles():
    model = nn.Sequential(nn.Linear(D, D), Failing())
    with torch.no_grad(), record(model) as recording:
        with pytest.raises(ArithmeticError):
            model(torch.ones(1, D))
        model[0](torch.ones(1, D))
        torch.ones(1, D) @ torch.ones(D, 2)
    assert [r.path for r in recording.products] == ["0", "0", ""]
    assert tally(recording.products)[-1].role == "outside"
    with pytest.raises(ArithmeticError), record(model):
        model(torch.ones(1, D))
    assert hooks_of(model) == 0


@pytest.mark.parametrize(
    "closed",
    [
        lambda: F.conv1d(torch.ones(1, 2, 5), torch.ones(4, 1, 2), groups=2),
        lambda: F.conv_transpose1d(torch.ones(1, 2, 5), torch.ones(2, 3, 2)),
        lambda: torch.dot(torch.ones(3), torch.ones(3)),
        lambda: torch.ops.aten._int_mm(torch.ones(32, 8, dtype=torch.int8), torch.ones(8, 8, dtype=torch.int8)),
    ],
)
def test_a_product_that_cannot_be_opened_is_refused_by_name(closed):
    with (
        pytest.raises(ProbeError, match=r"cannot open aten::\w+, called in outside, .*; record plain"),
        record(nn.Identity()),
    ):
        closed()


def test_the_ranges_of_the_profiler_may_be_recorded():
    with torch.no_grad(), record(nn.Identity()) as recording, torch.profiler.record_function("range"):
        torch.ones(2, 2) @ torch.ones(2, 2)
    assert len(recording.products) == 1


@pytest.mark.parametrize("module", ["products", "memory"])
def test_the_examples_in_the_probes_hold(module):
    assert doctest.testmod(importlib.import_module(f"suites.probes.{module}"), raise_on_error=True).attempted > 2
