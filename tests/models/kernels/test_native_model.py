"""Models whose decode steps run by native code give the logits that they give by torch's operators."""

import copy
import dataclasses
import threading
import weakref
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile, record_function

from strategies import ModelError, Session, parse
from strategies.models.architectures import OPTIONS
from strategies.models.kernels.attention_kernel import use_attention
from strategies.models.kernels.linears import use_linear
from strategies.models.kernels.narrow import use_weights
from strategies.models.kernels.native import compiler
from strategies.models.kernels.native.step import NativeLayers
from strategies.models.kernels.native.whole import WholeStep
from strategies.models.kernels.packing import products, unavailable_on
from strategies.static_kv import StaticKV, StaticStore
from suites.probes.attention import attention_kernels
from suites.profiling.calls import read_calls
from tests.conftest import TARGET, every_strategy
from tests.test_conformance_architectures import case_of

SRC_LEN = 7
needs_native = pytest.mark.skipif(compiler.why_unavailable() != "", reason=compiler.why_unavailable())


def native(model, rows=1):
    """A copy of the model with ``linear=panel``."""
    made = copy.deepcopy(model)
    use_linear(made, "panel", rows)
    return made


def start(model, strategy, batch, beams=1, seed=0):
    """A session that has read sources of which every second one is padded, and tokens to feed, [N, X]."""
    draw = torch.Generator().manual_seed(seed)
    source_BS = torch.randint(2, model.config.vocab_size, (batch, SRC_LEN), generator=draw)
    mask_BS = torch.arange(SRC_LEN) < torch.tensor([SRC_LEN, 3] * batch)[:batch, None]
    session = Session(model, strategy, batch, SRC_LEN, TARGET, beams)
    session.prefill(source_BS, mask_BS)
    return session, torch.randint(2, model.config.vocab_size, (TARGET, batch * beams), generator=draw)


def decode(model, strategy, batch, beams=1, seed=0):
    """Logits of each step, [N, X, V]; beams go on from the beam before them."""
    session, token_NX = start(model, strategy, batch, beams, seed)
    logits = []
    for token_X in token_NX:
        logits.append(session.step(token_X).clone())
        if len(logits) < TARGET:
            session.select(session.own_BW().roll(1, 1))
    return torch.stack(logits)


def assert_near(found, expected, near=1e-5):
    """Within 1e-5 of the largest logit, and with the same choices."""
    torch.testing.assert_close(found, expected, rtol=0, atol=near * float(expected.abs().max()))
    assert torch.equal(found.argmax(-1), expected.argmax(-1))


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("architecture", list(OPTIONS))
def test_every_architecture_gives_torchs_logits(architecture):
    case = case_of(architecture)
    packed = dataclasses.replace(case, model=native(case.model))
    for name in ("contiguous_kv", "static_kv(read=buffer)", "full_recompute"):
        pairs = zip(case.steps(case.session(name)), packed.steps(packed.session(name)), strict=True)
        for expected_BV, found_BV in pairs:
            assert_near(found_BV, expected_BV)


@needs_native
@pytest.mark.parametrize(("architecture", "batch"), [("t5", 3), ("t5 grouped-query", 1)])
def test_every_strategy_gives_torchs_logits(architecture, batch, tiny_model):
    plain = tiny_model(architecture)
    packed = native(plain)
    for strategy in every_strategy():
        # Where numbers are rounded to few bits, a last place may decide between two of them.
        near = 1e-5 if strategy.exact else 1e-2
        assert_near(decode(packed, strategy, batch), decode(plain, strategy, batch), near)


@needs_native
def test_every_strategy_of_beams_gives_torchs_logits(tiny_model):
    plain = tiny_model("t5 grouped-query")
    packed = native(plain)
    for strategy in every_strategy(beams=True):
        near = 1e-5 if strategy.exact else 1e-2
        assert_near(decode(packed, strategy, 2, 3), decode(plain, strategy, 2, 3), near)


@needs_native
@pytest.mark.parametrize("strategy", ["contiguous_kv", "static_kv", "paged_kv"])
def test_no_product_and_no_attention_of_a_step_is_left_to_torch(tiny_model, strategy, monkeypatch):
    session, token_NX = start(native(tiny_model("t5")), parse(strategy), 2)
    monkeypatch.setattr(F, "linear", None)
    monkeypatch.setattr(F, "scaled_dot_product_attention", None)
    for token_X in token_NX:
        assert session.step(token_X).isfinite().all()


@needs_native
def test_a_kernel_of_attention_that_was_asked_for_computes_it(tiny_model, monkeypatch):
    """The layers are then the model's own, with products from panels."""
    plain = tiny_model("t5")
    packed, calls, attention = native(plain), [], F.scaled_dot_product_attention
    expected_NXV = decode(plain, parse("static_kv"), 2)
    use_attention(packed, "math")
    session, token_NX = start(packed, parse("static_kv"), 2)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *x, **y: calls.append(x) or attention(*x, **y))
    assert_near(torch.stack([session.step(token_X).clone() for token_X in token_NX]), expected_NXV)
    assert len(calls) == 2 * len(packed.decoder.layers) * TARGET
    monkeypatch.undo()
    use_attention(packed, "auto")


@needs_native
def test_attention_of_an_eager_step_is_told_to_be_native_unless_it_is_not(tiny_model):
    for model, kernel in ((native(tiny_model("t5")), "native"), (tiny_model("t5"), "flash")):
        session, token_NX = start(model, parse("static_kv"), 2)
        assert attention_kernels(lambda: session.step(token_NX[0])) == {kernel}  # noqa: B023 - called at once


@needs_native
@pytest.mark.parametrize("strategy", ["paged_kv", "contiguous_kv", "static_kv"])
def test_a_profile_shows_what_native_code_takes_as_products(tiny_model, strategy):
    session, token_NX = start(native(tiny_model("t5")), parse(strategy), 2)
    with profile(activities=[ProfilerActivity.CPU]) as trace, record_function("decode_step"):
        session.step(token_NX[0])
    calls = [call for call in read_calls(trace.events()) if "stages" in call.name]
    by_layers = strategy == "paged_kv"
    assert Counter(call.name for call in calls) == {
        "decodebench::stages": 1 + by_layers,  # the head, and what comes before the first layer
        "decodebench::stages_with_attention": 2 * len(session.model.decoder.layers) if by_layers else 1,
    }
    assert all(call.in_product for call in calls)


@needs_native
def test_a_compiled_step_is_one_call_that_writes_the_buffers_themselves(tiny_model, monkeypatch):
    plain = tiny_model("t5", decoder_layers=1)
    strategy, packed, called = parse("static_kv(read=buffer,execution=compiled)"), native(plain), []
    assert_near(decode(packed, strategy, 2), decode(plain, parse("static_kv"), 2))
    session, token_NX = start(packed, strategy, 2)
    assert attention_kernels(lambda: session.step(token_NX[0]), "compiled") == {"native"}
    run = WholeStep.run
    monkeypatch.setattr(WholeStep, "run", lambda *given: called.append(given[4]) or run(*given))
    session.step(token_NX[1])
    buffers = session._stores[0].place(session._step)[:2]
    assert [[tensor.data_ptr() for tensor in own] for own in called] == [[tensor.data_ptr() for tensor in buffers]]


@needs_native
def test_a_compiled_step_whose_cache_grows_gives_torchs_logits(tiny_model):
    """The prefix leaves it one variant to compile, which serves every length from 3 on."""
    plain, found = tiny_model("t5", decoder_layers=1), []
    for model, name in ((native(plain), "contiguous_kv(execution=compiled)"), (plain, "contiguous_kv")):
        session = Session(model, parse(name), 2, SRC_LEN, TARGET, prefix_len=3)
        session.prefill(torch.arange(2, 2 + 2 * SRC_LEN).view(2, SRC_LEN), None, torch.tensor([[0, 5, 7], [0, 9, 4]]))
        found.append(torch.stack([session.step(torch.tensor([2 + n, 11])).clone() for n in range(TARGET)]))
    assert_near(*found)


@needs_native
def test_the_number_of_threads_changes_no_bit_of_a_step(tiny_model):
    model, found = native(tiny_model("t5")), []
    for threads in (1, 2, 3):
        torch.set_num_threads(1)
        session, token_NX = start(model, parse("static_kv"), 3)
        torch.set_num_threads(threads)
        found.append(torch.stack([session.step(token_X).clone() for token_X in token_NX]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@needs_native
def test_sessions_of_several_sizes_strategies_and_models_in_turn_give_what_each_gives_alone(tiny_model):
    """The rows between the stages of a model, and the sizes of its attentions, are kept where all sessions use them."""
    one, other = native(tiny_model("t5")), native(tiny_model("transformer2017", seed=1))
    kinds = [
        (one, parse("static_kv"), 3),
        (one, parse("static_kv(capacity=20)"), 3),
        (one, parse("contiguous_kv"), 1),
        (one, parse("paged_kv"), 2),
        (other, parse("doubling_kv(first=2)"), 2),
        (one, parse("sliding_kv"), 5),
    ]
    alone = [decode(model, strategy, batch, seed=batch) for model, strategy, batch in kinds]
    sessions = [start(model, strategy, batch, seed=batch) for model, strategy, batch in kinds]
    for n in range(TARGET):
        for (session, token_NX), expected_NXV in zip(sessions, alone, strict=True):
            assert torch.equal(session.step(token_NX[n]), expected_NXV[n])


@needs_native
def test_packed_weights_are_freed_with_their_model_and_counted_while_it_lives(tiny_model):
    model = copy.deepcopy(tiny_model("t5"))
    held = use_linear(model, "panel", 2).copy_bytes
    plain = sum(module.weight.nbytes for module in products(model))
    assert plain < held < 4 * plain  # outputs are filled up to a multiple of 32
    layers = vars(model.decoder)["run_layers"]
    assert isinstance(layers, NativeLayers)
    programs = [weakref.ref(program) for program in (layers._start, *layers._before, *layers._after)]
    packed = weakref.ref(layers._start._stages._kept[0])
    assert packed() is not None
    del model, layers
    assert packed() is None
    assert {program() for program in programs} == {None}


@needs_native
def test_a_copy_of_a_packed_model_is_a_model(tiny_model):
    packed = native(tiny_model("t5"))
    expected, found = (decode(model, parse("static_kv"), 2) for model in (packed, copy.deepcopy(packed)))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_another_type_is_refused_with_a_remedy(tiny_model, dtype):
    with pytest.raises(ModelError, match=f"linear=panel takes float32 weights, not {dtype}; give linear=torch"):
        use_linear(copy.deepcopy(tiny_model("t5", dtype)), "panel", 1)


def test_on_a_gpu_it_is_refused_with_a_remedy():
    line = "linear=panel runs on the CPU alone, not on cuda; give linear=torch or linear=transposed"
    assert unavailable_on("cuda", "panel") == line


def test_without_a_compiler_it_is_refused_with_a_remedy(tiny_model, monkeypatch):
    line = "native kernels need a C++ compiler; give linear=torch"
    monkeypatch.setattr("strategies.models.kernels.packing.why_unavailable", lambda: line)
    with pytest.raises(ModelError) as raised:
        use_linear(copy.deepcopy(tiny_model("t5")), "panel", 1)
    assert str(raised.value) == line


class Doubled(StaticStore):
    """Redefines what is attended, and inherits where native code would write."""

    def append(self, k_BGTK, v_BGTK, step):
        k_BGMK, v_BGMK = super().append(k_BGTK, v_BGTK, step)
        return k_BGMK, 2 * v_BGMK


@dataclasses.dataclass(frozen=True)
class DoubledKV(StaticKV):
    def self_kv(self, shape):
        return Doubled(shape, self._rows, self.read)


@needs_native
def test_a_store_that_redefines_append_alone_is_asked_to_append(tiny_model):
    plain = tiny_model("t5")
    found = decode(native(plain), DoubledKV(), 2)
    assert_near(found, decode(plain, DoubledKV(), 2))
    assert not torch.allclose(found, decode(plain, StaticKV(), 2))


@needs_native
def test_rows_of_another_type_or_width_are_refused(tiny_model):
    model = native(tiny_model("t5"))
    width = model.config.d_model
    for x in (torch.zeros(3, width, dtype=torch.bfloat16), torch.zeros(3, width + 1)):
        with pytest.raises(RuntimeError, match=f"linear=panel takes rows of {width} in torch.float32 on the CPU"):
            model.decoder.layers[0].ffn.wi(x)


@needs_native
def test_a_model_with_native_steps_takes_no_second_kernel(tiny_model):
    model = native(tiny_model("t5"))
    for change in (lambda: use_linear(model, "transposed", 1), lambda: use_weights(model, "int8", "panel")):
        with pytest.raises(ModelError, match="has linear=panel already; load it again"):
            change()


@needs_native
def test_threads_that_decode_with_one_model_take_turns(tiny_model):
    plain = tiny_model("t5")
    packed, found = native(plain), {}
    for name in ("static_kv", "paged_kv"):
        strategy = parse(name)
        expected = {batch: decode(plain, strategy, batch) for batch in (1, 2, 5)}

        def run(batch, strategy=strategy):
            found[batch] = [decode(packed, strategy, batch) for _ in range(3)]

        threads = [threading.Thread(target=run, args=(batch,)) for batch in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for batch, logits_NXV in expected.items():
            for again_NXV in found[batch]:
                assert_near(again_NXV, logits_NXV)


class Misplacing(StaticStore):
    """Gives buffers or a row that are not what the protocol says."""

    changed = staticmethod(lambda k_BGCK, row_1: (k_BGCK, row_1))

    def place(self, step):
        k_BGCK, v_BGCK, row_1 = super().place(step)
        k_BGCK, row_1 = self.changed(k_BGCK, row_1)
        return k_BGCK, v_BGCK, row_1


class MisplacingKV(DoubledKV):
    def self_kv(self, shape):
        return Misplacing(shape, self._rows, self.read)


@needs_native
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda k_BGCK, row_1: (k_BGCK.mT.contiguous().mT, row_1), "K or V whose rows are not dense"),
        (lambda k_BGCK, row_1: (k_BGCK, row_1.int()), r"row \[0\] of torch.int32 from place of a store; give int64"),
        (lambda k_BGCK, row_1: (k_BGCK, row_1 + 10_000), r"row \[10000\] of torch.int64 from place of a store"),
    ],
)
def test_a_place_that_native_code_cannot_use_is_refused(changed, told, tiny_model, monkeypatch):
    monkeypatch.setattr(Misplacing, "changed", staticmethod(changed))
    session, token_NX = start(native(tiny_model("t5")), MisplacingKV(), 2)
    with pytest.raises(RuntimeError, match=told):
        session.step(token_NX[0])
