"""``linear=auto`` by kernels whose speed is made up, on a clock that they move."""

import copy
import functools
import itertools
import math

import pytest
import torch

from strategies import Session, parse
from strategies.models.kernels import choose as choosing
from strategies.models.kernels import compiling, linears, packing
from strategies.models.kernels.choose import buckets, choose
from strategies.models.kernels.fused_probe import loops, loops_over_calls
from strategies.models.kernels.linears import use_linear
from strategies.models.kernels.native.compiler import why_unavailable
from strategies.models.kernels.native.step import NativeLayers
from strategies.models.kernels.packing import Choice, by_rows

NOW = 0.0


@pytest.fixture
def model(tiny_model):
    return copy.deepcopy(tiny_model("t5"))


@pytest.fixture
def costs(monkeypatch):
    """``costs[kernel](rows, shape)``: seconds of a product, on the clock that the probe reads; 1 where not given."""
    found = {}

    def pack(module, kind, rows):
        shape = tuple(module.weight.shape)

        def apply(x):
            global NOW
            NOW += found.get(kind, lambda rows, shape: 1.0)(x.numel() // x.shape[-1], shape)
            return torch.nn.functional.linear(x, module.weight)

        return apply, 0

    monkeypatch.setattr(choosing, "pack", pack)
    monkeypatch.setattr(choosing, "unavailable", lambda model, kind: "")
    return found


def chosen(model, rows, rows_max, compiled=False):
    return choose(model, rows, rows_max, compiled, clock=lambda: NOW)


def test_each_shape_and_bucket_gets_what_is_fastest_there(model, costs):
    head = tuple(model.lm_head.weight.shape)
    costs["transposed"] = lambda rows, shape: 0.5 if shape == head else 2.0
    costs["onednn"] = lambda rows, shape: 0.8 if rows > 3 else 1.5
    found = chosen(model, 3, 100)
    assert {c.kernel for c in found if c.weight == head and c.rows_max == 3} == {"transposed"}
    others = [c for c in found if c.weight != head]
    assert {c.kernel for c in others if c.rows_max == 3} == {"torch"}
    assert {c.kernel for c in others if c.rows_max != 3} == {"onednn"}
    assert [c.ratio for c in others if c.rows_max != 3] == pytest.approx([0.8] * 2 * len({c.weight for c in others}))


def test_a_kernel_that_wins_by_less_than_the_margin_is_not_taken(model, costs):
    costs["onednn"] = lambda rows, shape: 0.98
    assert {(c.kernel, c.ratio) for c in chosen(model, 1, 1)} == {("torch", 1.0)}


def test_a_kernel_that_packs_for_one_number_of_rows_is_tried_at_that_alone(model, costs):
    costs["mkl"] = lambda rows, shape: 0.1
    kernels = {c.rows_max: c.kernel for c in chosen(model, 2, 40)}
    assert kernels == {2: "mkl", 16: "torch", None: "torch"}


@pytest.mark.parametrize("all_or_none", [True, False])
def test_native_code_has_all_products_of_a_step_or_none(model, costs, all_or_none):
    """Even where another kernel is faster for one shape, or native code is for one alone."""
    head = tuple(model.lm_head.weight.shape)
    costs["panel"] = lambda rows, shape: 0.5 if all_or_none else (0.1 if shape == head else 1.2)
    costs["onednn"] = lambda rows, shape: 0.2 if all_or_none and shape == head else 0.8
    of_step = {tuple(m.weight.shape) for m in [*packing.products(model.decoder), model.lm_head]}
    kernels = {c.weight: c.kernel for c in chosen(model, 2, 16) if c.rows_max == 2}
    assert {kernels[shape] == "panel" for shape in of_step} == {all_or_none}


@pytest.mark.parametrize("rows_max", [2, 40])
def test_where_native_code_was_chosen_for_the_step_it_runs_the_layers(model, costs, rows_max, monkeypatch):
    if why := why_unavailable():
        pytest.skip(why)
    costs["panel"] = lambda rows, shape: 0.5 if rows == 2 else 2.0
    made = functools.partial(choose, clock=lambda: NOW)
    monkeypatch.setattr(linears, "choose", lambda *given: made(*given))
    use_linear(model, "auto", 2, rows_max)
    assert isinstance(vars(model.decoder)["run_layers"], NativeLayers)


@pytest.mark.parametrize(("ratio", "taken"), [(0.7, True), (1.02, True), (1.1, False)])
def test_compiled_steps_of_one_row_get_loops_unless_those_are_slower(model, costs, monkeypatch, ratio, taken):
    """Beside what was found for eager steps, which stays."""
    asked = []
    monkeypatch.setattr(choosing, "loops_over_calls", lambda model, kernels, clock: asked.append(kernels) or ratio)
    costs["onednn"] = lambda rows, shape: 0.5
    found = chosen(model, 1, 30, compiled=True)
    of_a_step = {tuple(m.weight.shape) for m in [*packing.products(model.decoder), model.lm_head]}
    assert asked == [dict.fromkeys(of_a_step, "onednn")]
    assert [c for c in found if not c.compiled] == chosen(model, 1, 30)
    loop = {(c.weight, c.rows_max, c.kernel, c.ratio) for c in found if c.compiled}
    assert loop == ({(shape, 1, "fused", ratio) for shape in of_a_step} if taken else set())


def test_loops_are_not_asked_of_for_several_rows_or_eager_steps(model, costs, monkeypatch):
    monkeypatch.setattr(choosing, "loops_over_calls", None)
    assert not any(c.compiled for c in [*chosen(model, 2, 30, compiled=True), *chosen(model, 1, 30)])


def test_loops_and_calls_are_timed_in_pairs(model):
    """By a clock that counts how often it is looked at, both arms take as long."""
    looks = itertools.count()
    kernels = {tuple(m.weight.shape): "transposed" for m in packing.products(model)}
    assert loops_over_calls(model, kernels, lambda: float(next(looks))) == 1


def test_loops_that_were_compiled_with_one_layer_multiply_by_the_next(model):
    compiled = compiling.one_graph(loops, "cpu")
    inputs = {size: torch.rand(size) for size in {m.weight.shape[1] for m in packing.products(model)}}
    for layer in model.decoder.layers:
        weights = [m.weight.detach() for m in packing.products(layer)]
        for weight_XD, found_X in zip(weights, compiled(weights, inputs), strict=True):
            torch.testing.assert_close(found_X, weight_XD @ inputs[weight_XD.shape[1]])


def test_every_product_of_the_model_is_chosen_for(model):
    shapes = {tuple(module.weight.shape) for module in packing.products(model)}
    limits = buckets(1, 30)
    found = choose(model, 1, 30)
    assert {(c.weight, c.rows_max) for c in found} == {(s, r) for s in shapes for r in (*limits[:-1], None)}


def test_a_table_of_kernels_goes_by_rows():
    few, many = (lambda x: "few"), (lambda x: "many")
    apply = by_rows([(2, few), (8, few), (None, many)])
    rows = (1, 2, 3, 8, 9, 100)
    assert [apply(torch.ones(n, 1, 4)) for n in rows] == ["few"] * 4 + ["many"] * 2
    assert by_rows([(2, many), (None, many)]) is many


@pytest.mark.parametrize("strategy", ["static_kv", "full_recompute"])
def test_a_model_whose_kernels_were_chosen_gives_torchs_logits(architecture, tiny_model, strategy, monkeypatch):
    """With a different kernel in each bucket of rows, so that every one is used."""
    plain, model = tiny_model(architecture), copy.deepcopy(tiny_model(architecture))
    kernels = {2: "mkl", 16: "onednn", None: "transposed"}

    def each(model, rows, rows_max, compiled):
        shapes = dict.fromkeys(tuple(module.weight.shape) for module in packing.products(model))
        return [Choice(shape, limit, kernel, 0.5) for shape in shapes for limit, kernel in kernels.items()]

    monkeypatch.setattr(linears, "choose", each)
    done = use_linear(model, "auto", 2, 30)
    assert done.copy_bytes == 3 * sum(module.weight.nbytes for module in packing.products(model))
    sessions = [Session(m, parse(strategy), 2, 12, 6) for m in (plain, model)]
    source = torch.randint(2, 29, (2, 12), generator=torch.Generator().manual_seed(0))
    for session in sessions:
        session.prefill(source)
    for k in range(6):
        expected, found = (session.step(torch.full((2,), k + 2)) for session in sessions)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_torch_alone_holds_no_copies(model, monkeypatch):
    monkeypatch.setattr(choosing, "CALLED", ())
    done = use_linear(model, "auto", 1, 4)
    assert (done.copy_bytes, {choice.kernel for choice in done.choices}) == (0, {"torch"})


@pytest.mark.parametrize(("rows", "rows_max"), [(1, 1), (1, 2), (3, 3), (8, 1024)])
def test_buckets_cover_all_rows(rows, rows_max):
    limits = buckets(rows, rows_max)
    assert (limits[0], limits[-1] >= rows_max) == (rows, True)
    assert all(math.isqrt(low * high) > low for low, high in itertools.pairwise(limits))


def test_auto_leaves_panel_out_where_it_cannot_be_compiled(tiny_model, monkeypatch):
    def fails():
        raise compiling.CompileError("cannot compile stages.cpp")

    monkeypatch.setattr(packing, "kernels", fails)
    assert not any(choice.kernel == "panel" for choice in choose(tiny_model("t5"), 2, 2))
