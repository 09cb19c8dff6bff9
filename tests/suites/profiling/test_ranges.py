"""What a profile holds: ranges, counts, shares and shapes, and the rounds in which it is taken."""

import json
import random
from collections import Counter
from inspect import signature
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.autograd.profiler_util import FunctionEvent
from torch.nn.attention import SDPBackend, sdpa_kernel

from strategies import greedy
from suites.probes import ProbeError
from suites.probes.dispatch import OperatorMode
from suites.profiling import trace as tracing
from suites.profiling.ranges import named_ranges
from suites.profiling.shapes import merge
from suites.profiling.tables import KINDS, apportion, operator_table, percents, range_path, range_table
from suites.profiling.trace import ROUNDS, WINDOWS, traces, unprofiled_steps_s

from .arms import CORE, DECODER_LAYERS, ENCODER_LAYERS, PARTS, STEPS, TRACED, arms_of, recorded, trace


def expected_ranges(cached):
    layers, steps = DECODER_LAYERS, len(STEPS)
    counts = {
        "prefill": 1,
        "prefill/encode": 1,
        **{f"prefill/encode/layer{part}": ENCODER_LAYERS for part in ("", "/self_attn", "/ffn")},
        "decode_step": steps,
        **{f"decode_step/layer{part}": steps * layers for part in ("", "/self_attn", "/cross_attn", "/ffn")},
        "decode_step/lm_head": steps,
    }
    if cached:
        return counts | {"prefill/project_kv": layers}
    return counts | {"decode_step/layer/cross_attn/project_kv": steps * layers}


@pytest.mark.parametrize(("label", "architecture"), TRACED)
def test_ranges_nest_as_the_model_does_and_are_called_once_a_layer_a_step(traced, label, architecture):
    calls = traced(label, architecture).calls
    ranges = range_table(traced(label, architecture))
    assert dict(zip(ranges["range"], ranges["calls"], strict=True)) == expected_ranges(label != "full_recompute")
    for k in STEPS:
        own = [call.ranges[1:] for call in calls if call.is_range and call.ranges[0] == f"decode_step {k}"]
        assert [names for names in own if len(names) == 1] == [("layer 0",), ("layer 1",), ("lm_head",)]
        for layer in range(DECODER_LAYERS):
            blocks = [names[1] for names in own if len(names) == 2 and names[0] == f"layer {layer}"]
            assert blocks == ["self_attn", "cross_attn", "ffn"]


@pytest.mark.parametrize(("label", "architecture"), TRACED)
def test_matrix_products_of_each_step_and_part_are_those_that_the_probe_records(traced, label, architecture):
    calls = traced(label, architecture).calls
    arm, _ = arms_of(label, architecture)
    for k in STEPS:
        seen = Counter()
        for call in calls:
            if call.ranges[0] == f"decode_step {k}" and call.products:
                seen[next(name for name in call.ranges if name in PARTS)] += call.products
        told = Counter(next(p for p in PARTS if p in r.product.role.split(".")) for r in recorded(arm, k))
        assert seen == told


def test_an_attention_that_is_written_out_has_the_same_products_as_a_fused_one(traced, tmp_path):
    arms = arms_of("static_kv")
    with sdpa_kernel(SDPBackend.MATH):
        written_out = range_table(trace(*arms, tmp_path))
        products = len(recorded(arms[0], STEPS[0]))
    fused = range_table(traced("static_kv"))
    assert written_out["products"].tolist() == fused["products"].tolist()
    step = written_out.set_index("range").loc["decode_step"]
    assert step["products"] == len(STEPS) * products


@pytest.mark.parametrize("label", CORE)
def test_the_three_shares_make_up_the_step(traced, label):
    ranges, operators = range_table(traced(label)), operator_table(traced(label))
    parts = ranges[list(KINDS)].sum(axis=1)
    assert parts.tolist() == pytest.approx(ranges["time_s"].tolist())
    assert (ranges[["time_s", "self_s", *KINDS]] > 0).all().all()
    for root in ("prefill", "decode_step"):
        mine = ranges[ranges["range"].str.startswith(root)]
        whole = mine.iloc[0]
        assert mine["self_s"].sum() == pytest.approx(whole["time_s"])
        assert whole["share"] == 1
        own = operators[operators["range"] == root]
        assert own["share"].sum() + whole["python_s"] / whole["time_s"] == pytest.approx(1)
        assert own["allocated_bytes"].sum() == whole["allocated_bytes"] > 0
        assert own["share"].is_monotonic_decreasing


def test_percentages_add_up_to_a_hundred():
    assert percents([2, 1, 1]) == [50, 25, 25]
    assert percents([-1, -3]) == [25, 75]
    assert sum(percents([1, 1, 1, 1, 1, 1, 1])) == 100
    assert apportion([27.5, 19.25, 19.25, -0.25], 66) == [28, 19, 19, 0]


def test_shapes_that_grow_with_the_step_are_ranges_and_those_of_a_static_cache_are_not(traced):
    def products(label):
        table = operator_table(traced(label))
        fused = table["operator"].str.startswith("_scaled_dot_product")
        return table[(table["range"] == "decode_step") & fused]["shapes"].tolist()

    queries_growing, queries_alone = "2x3x3..5x5", "2x3x1x5"
    assert any(shapes.startswith(queries_growing) for shapes in products("full_recompute"))
    assert not any(shapes.startswith(queries_growing) for shapes in products("static_kv"))
    assert any(shapes.startswith(f"{queries_alone} {queries_growing}") for shapes in products("static_kv"))
    buffers = [shapes for shapes in products("static_kv(read=buffer)") if shapes.startswith(queries_alone)]
    assert any(shapes.startswith(f"{queries_alone} 2x3x5x5 2x3x5x5") for shapes in buffers)
    assert not any(".." in shapes for shapes in buffers)
    table = operator_table(traced("contiguous_kv"))
    # Older versions of torch record no shapes of a list of tensors.
    shapes = "2x3x2..4x5 2x3x1x5" if "structured_input_shapes" in signature(FunctionEvent).parameters else ""
    assert table[table["operator"] == "cat"][["shapes", "calls"]].values.tolist() == [
        [shapes, 2 * DECODER_LAYERS * len(STEPS)]
    ]


def test_shapes_that_differ_in_more_than_numbers_are_not_merged():
    assert merge(["4x2 2x9", "5x2"]) is None
    assert merge(["4x2", "4x2"]) == "4x2"


def operators_of(arm):
    """Every operator of a prefill and two steps, in order."""
    seen = []
    with OperatorMode(lambda func, args, out: seen.append(func)):
        arm.prefill()
        tokens = greedy(arm.session, "fixed")
        next(tokens)
        next(tokens)
    return seen


def hooks_of(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_after_a_profile_no_hook_is_left_and_the_operators_are_as_before(tmp_path):
    arm, spare = arms_of("static_kv")
    model = arm.session.model
    before = operators_of(arm)
    with named_ranges(model):
        assert hooks_of(model) > 0
    trace(arm, spare, tmp_path)
    assert hooks_of(model) == 0
    assert operators_of(arm) == before


def test_an_error_of_the_model_removes_the_hooks_and_closes_the_ranges():
    class Failing(nn.Module):
        def forward(self, x):
            raise ArithmeticError

    model = nn.Module()
    model.lm_head = Failing()
    x = torch.ones(1)
    with torch.profiler.profile(acc_events=True) as profiler:
        with pytest.raises(ArithmeticError), named_ranges(model):
            model.lm_head(x)
        with torch.profiler.record_function("after"):
            pass
    assert hooks_of(model) == 0
    assert {event.name: event.cpu_parent for event in profiler.events()} == {"lm_head": None, "after": None}


def test_a_module_without_our_parts_cannot_be_traced():
    with pytest.raises(ProbeError, match="cannot trace Linear: it has no encoder, decoder layers or lm_head; give an"):
        named_ranges(nn.Linear(1, 1)).__enter__()


def test_the_trace_is_one_json_with_the_steps_and_nothing_before_them(traced):
    done = traced("contiguous_kv")
    events = json.loads(done.path.read_text())["traceEvents"]
    spans = [e for e in events if e.get("cat") == "user_annotation"]
    roots = [e["name"] for e in spans if range_path([e["name"]]) in ("prefill", "decode_step")]
    assert roots == ["prefill", *(f"decode_step {k}" for k in STEPS)]
    assert done.path.name.endswith(".pt.trace.json")
    assert done.path.parent.name == "contiguous_kv"
    shaped = [e for e in events if e.get("name") == "aten::cat"]
    assert len(shaped) == 2 * DECODER_LAYERS * len(STEPS)
    assert all(e["args"]["Input Dims"] for e in shaped)


def test_strategies_are_timed_in_rounds_of_all_in_shuffled_order_and_the_warm_up_is_not_counted():
    seen = []

    class Arm:
        def __init__(self, label, step_s):
            self.label, self._step_s = label, step_s

        def round(self, index, warmup, clock):
            seen.append((index, self.label))
            assert warmup == (index < 0)
            # After prefill the k-th step takes k times as long as the first.
            return SimpleNamespace(marks_s=[0.0] + [7 + self._step_s * (k * (k + 1) / 2 + index) for k in range(6)])

    arms = [Arm("a", 1.0), Arm("b", 2.0), Arm("c", 3.0)]
    times = unprofiled_steps_s(arms, "cpu", STEPS, random.Random(0), lambda: None)
    rounds = [[label for index, label in seen if index == i] for i in range(-1, ROUNDS)]
    assert [index for index, _ in seen] == sorted(index for index, _ in seen)
    assert [sorted(labels) for labels in rounds] == [["a", "b", "c"]] * (1 + ROUNDS)
    assert len({tuple(labels) for labels in rounds}) > 1
    assert ROUNDS >= 5
    assert {label: times[label] for label in "abc"} == {
        label: pytest.approx([step_s * 4] * ROUNDS) for label, step_s in zip("abc", (1.0, 2.0, 3.0), strict=True)
    }


def test_windows_of_the_profiler_are_interleaved_too_and_the_fastest_is_kept(monkeypatch, tmp_path):
    pairs = [arms_of("static_kv"), arms_of("cross_kv")]
    taken, told = iter([5.0, 6.0, 1.0, 9.0, 2.0, 3.0]), []
    order = []

    def window(arm, spare, device, steps):
        order.append(arm.label)
        told.append((next(taken), 0.0, None))
        return told[-1]

    monkeypatch.setattr(tracing, "profile_once", window)
    monkeypatch.setattr(tracing, "_written", lambda label, *rest: (label, rest[-2][0]))
    kept = dict(traces(pairs, "cpu", STEPS, tmp_path, 0, lambda: None))
    assert [sorted(order[i : i + 2]) for i in range(0, 2 * WINDOWS, 2)] == [["cross_kv", "static_kv"]] * WINDOWS
    assert kept == {
        label: min(taken_s for name, (taken_s, *_) in zip(order, told, strict=True) if name == label)
        for label in ("static_kv", "cross_kv")
    }
