"""Kernels of products on a GPU: which there are, and that of ``weights=int8``, on the CPU and on fake tensors."""

import copy

import pytest
import torch

from strategies import ModelError, ModelSpec, Session, load_model, parse, select
from strategies.models.kernels import narrow
from strategies.models.kernels.choose import choose
from strategies.models.kernels.compiling import graphs_so_far
from strategies.models.kernels.linears import LINEARS, use_linear
from strategies.models.kernels.narrow import dequantising, use_weights
from strategies.models.kernels.packed import Packed
from strategies.models.kernels.packing import products
from strategies.models.kernels.quantise import quantise
from tests.fake_cuda import fake_cuda

SHAPE = {
    "architecture": "t5", "vocab_size": 61, "d_model": 32, "num_heads": 2, "d_kv": 16, "d_ff": 48, "encoder_layers": 1,
    "decoder_layers": 2,
}  # fmt: skip
EAGER = [s for s in select("all") if s.exact and "eager" in s.supports]


@pytest.fixture
def whole():
    return load_model(ModelSpec("sliver", "random", shape=tuple(sorted(SHAPE.items()))))


@pytest.fixture
def called(monkeypatch):
    """The shapes of weights that what stands for compiled functions is called with: one for each, called as it is."""
    shapes = []

    def one_graph(function, device):
        def row(x_D, int8_XD, scale_X, bias_X):
            assert x_D.stride() == (1,)  # as at set-up: nothing checks later rows
            shapes.append(tuple(int8_XD.shape))
            return function(x_D, int8_XD, scale_X, bias_X)

        return row

    monkeypatch.setattr(narrow, "one_graph", one_graph)
    monkeypatch.setattr(narrow, "proven", lambda function, *given: function(*given))
    monkeypatch.setattr(narrow, "_COMPILED_ROWS", {})
    return shapes


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Have ``use_weights`` take the product of a GPU for int8, on the CPU."""

    def packed(weight, bias):
        int8_XD, scale_X = quantise(weight, torch.bfloat16)
        return Packed(dequantising(int8_XD, scale_X, bias), int8_XD.nbytes + scale_X.nbytes)

    monkeypatch.setitem(narrow._PACK, "int8", packed)


def drawn(outputs=40, inputs=32, seed=0):
    """(weight in int8, its scales, bias, a function that draws [rows, 1, inputs])."""
    draw = torch.Generator().manual_seed(seed)
    int8_XD, scale_X = quantise(torch.randn(outputs, inputs, generator=draw), torch.bfloat16)
    return int8_XD, scale_X, torch.randn(outputs, generator=draw), lambda n: torch.randn(n, 1, inputs, generator=draw)


def exact(x, int8_XD, scale_X, bias):
    y = x.double() @ (int8_XD.double() * scale_X.double()[:, None]).T
    return y if bias is None else y + bias.double()


@pytest.mark.parametrize("biased", [True, False])
def test_a_row_is_multiplied_without_rounding_and_more_rows_in_bfloat16(called, biased):
    int8_XD, scale_X, bias, rows = drawn()
    bias = bias if biased else None
    apply = dequantising(int8_XD, scale_X, bias)
    for n, relative in ((1, 1e-6), (3, 2**-7)):
        x = rows(n)
        found, expected = apply(x), exact(x, int8_XD, scale_X, bias)
        assert (found.shape, found.dtype) == ((n, 1, 40), torch.float32)
        assert (found - expected).abs().max() < relative * expected.abs().max()
        assert ((found - expected).abs().max() > 1e-4 * expected.abs().max()) == (n > 1)  # that it rounds, or does not
    assert called == [(40, 32)] * 2  # at set-up, and for the one row


def test_a_row_is_multiplied_wherever_it_lies(called):
    int8_XD, scale_X, _, rows = drawn()
    apply = dequantising(int8_XD, scale_X, None)
    wide = rows(2)[..., None].expand(2, 1, 32, 3).contiguous()
    for x in (wide[1, :, :, 1], wide[:1, :, :, 2], wide[1, 0, :, 0]):
        torch.testing.assert_close(apply(x).double(), exact(x, int8_XD, scale_X, None), rtol=0, atol=1e-5)


def test_weights_of_one_shape_share_what_was_compiled_and_a_step_is_given_none_of_it(monkeypatch):
    """By the real compiler: in a function that is compiled itself, the product is part of its one graph."""
    monkeypatch.setattr(narrow, "_COMPILED_ROWS", {})
    before = graphs_so_far()
    weights = [drawn(seed=seed) for seed in (0, 1)]
    first, second = (dequantising(int8_XD, scale_X, bias) for int8_XD, scale_X, bias, _ in weights)
    x = weights[0][3](1)
    for apply, (int8_XD, scale_X, bias, _) in zip((first, second), weights, strict=True):
        for mode in (torch.inference_mode, torch.no_grad):
            with mode():
                torch.testing.assert_close(apply(x).double(), exact(x, int8_XD, scale_X, bias), rtol=0, atol=1e-5)
    assert graphs_so_far() == before + 1
    step = torch.compile(lambda x: first(x) + second(x), backend="eager", fullgraph=True)
    monkeypatch.setitem(narrow._COMPILED_ROWS, next(iter(narrow._COMPILED_ROWS)), None)
    torch.testing.assert_close(step(x), first(x) + second(x))
    assert graphs_so_far() == before + 2


@pytest.mark.parametrize("rows", [1, 3])
def test_every_strategy_decodes_by_the_same_weights(whole, called, as_on_a_gpu, rows, monkeypatch):
    """Without torch's own int8 operator, which is slow on a GPU."""
    monkeypatch.setattr(torch, "_weight_int8pack_mm", None)
    model = copy.deepcopy(whole)
    held = use_weights(model, "int8")
    plain = copy.deepcopy(whole)
    for module in products(plain):
        int8_XD, scale_X = quantise(module.weight, torch.bfloat16)
        module.weight = torch.nn.Parameter(int8_XD * scale_X.float()[:, None], requires_grad=False)
    assert held == sum(module.weight.numel() + 2 * len(module.weight) for module in products(model))
    found = {}
    for name, decoder in (("int8", model), ("dequantised", plain)):
        for strategy in EAGER:
            session = Session(decoder, strategy, rows, 7, 5)
            session.prefill(torch.arange(2, 2 + 7 * rows).view(rows, 7))
            steps = [session.step(torch.full((rows,), k + 2)).clone() for k in range(5)]
            found[name, strategy.label] = torch.stack(steps)
    oracle = found["int8", "full_recompute"]
    for logits in found.values():
        torch.testing.assert_close(logits, oracle, rtol=0, atol=0.03 * float(oracle.abs().max()))


@pytest.mark.parametrize("kind", ["bf16", "int8"])
@pytest.mark.parametrize("rows", [1, 3])
def test_prefill_and_steps_stay_on_the_device(whole, called, kind, rows):
    with fake_cuda(whole) as model:
        use_weights(model, kind)
        assert len(called) == (len({tuple(m.weight.shape) for m in products(model)}) if kind == "int8" else 0)
        for strategy in EAGER:
            session = Session(model, strategy, rows, 7, 3)
            session.prefill(torch.zeros(rows, 7, dtype=torch.int64, device="cuda"))
            called.clear()
            for _ in range(3):
                logits_BV = session.step(torch.zeros(rows, dtype=torch.int64, device="cuda"))
                assert (logits_BV.device.type, logits_BV.dtype) == ("cuda", torch.float32)
                assert logits_BV.shape == (rows, 61)
            if kind == "int8" and strategy.label == "static_kv":
                cached = [layer.cross_attn.kv for layer in model.decoder.layers]
                of_a_step = [m for m in [*products(model.decoder), model.lm_head] if m not in cached]
                assert len(called) == (3 * len(of_a_step) if rows == 1 else 0)


def test_without_a_compiler_int8_is_refused(monkeypatch):
    int8_XD, scale_X, *_ = drawn()
    monkeypatch.setattr(narrow, "_COMPILED_ROWS", {})

    def fails(function, device):
        def row(*given):
            raise torch._dynamo.exc.TorchDynamoException("no C compiler here\nand more")

        return row

    monkeypatch.setattr(narrow, "one_graph", fails)
    for switch, said in (
        (None, "weights=int8 on cpu needs torch's compiler, which failed: no C compiler here; give weights=bf16"),
        ("1", "needs torch's compiler: TORCHDYNAMO_DISABLE=1 keeps torch from compiling; unset it, or give weights=bf"),
    ):
        if switch:
            monkeypatch.setenv("TORCHDYNAMO_DISABLE", switch)
        with pytest.raises(ModelError, match=said):
            dequantising(int8_XD, scale_X, None)


def test_on_a_gpu_there_are_two_kernels_and_nothing_to_choose(whole):
    with fake_cuda(whole) as model:
        said = {}
        for kind in sorted(LINEARS, key="transposed".__eq__):  # whose copies replace the weights that all share
            try:
                use_linear(copy.copy(model), kind, 1)
            except ModelError as error:
                said[kind] = str(error)
    remedy = "give linear=torch or linear=transposed"
    assert said == {
        **{
            kind: f"linear={kind} runs on the CPU alone, not on cuda; {remedy}"
            for kind in ("onednn", "mkl", "fused", "panel")
        },
        "auto": "linear=auto chooses on the CPU alone, not on cuda, where its probe would time launches instead of "
        f"kernels; {remedy}",
    }


def test_the_transposed_kernel_decodes_on_a_gpu(whole):
    with fake_cuda(whole) as model:
        use_linear(model, "transposed", 1)
        session = Session(model, parse("static_kv"), 2, 7, 3)
        session.prefill(torch.zeros(2, 7, dtype=torch.int64, device="cuda"))
        assert session.step(torch.zeros(2, dtype=torch.int64, device="cuda")).device.type == "cuda"


def test_a_choice_on_the_cpu_takes_any_type(whole):
    """Where no other kernel takes it, torch's is left."""
    model = copy.deepcopy(whole).bfloat16()
    assert {choice.kernel for choice in choose(model, 1, 1)} <= {"torch", "transposed"}
    use_linear(model, "auto", 1)
