"""``python -m suites profile``: what its ranges, counts and shares say, and the command as a user has it."""

import json
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from strategies import greedy, parse, select
from suites.__main__ import main
from suites.probes import ProbeError, record
from suites.probes.dispatch import OperatorMode
from suites.profiling import diff, report
from suites.profiling import printed as printed_tables
from suites.profiling import trace as tracing
from suites.profiling.ranges import named_ranges
from suites.profiling.shapes import merge
from suites.profiling.tables import KINDS, apportion, operator_table, percents, range_path, range_table, step_of
from suites.profiling.trace import ROUNDS, WINDOWS, traces, unprofiled_steps_s
from suites.settings.cells import make_cell
from suites.settings.config import RunConfig
from suites.verbs import profile as verb
from suites.words.quantity import quantity
from tests.command import SMALL_MODEL, suites

CORE = ["full_recompute", "cross_kv", "contiguous_kv", "static_kv"]
STEPS = range(3, 6)
ENCODER_LAYERS, DECODER_LAYERS = 1, 2
ARCHITECTURES = ["t5", "transformer2017"]
TRACED = [(label, architecture) for label in CORE for architecture in ARCHITECTURES]
PARTS = ("self_attn", "cross_attn", "ffn", "lm_head")


@cache
def arms_of(label, architecture="t5"):
    """Two arms of a strategy on a tiny model, and their cell."""
    model = {
        "name": "sliver",
        "source": "random",
        "architecture": architecture,
        "vocab_size": 29,
        "d_model": 14,
        "num_heads": 3,
        "d_kv": 5,
        "d_ff": 22,
        "encoder_layers": ENCODER_LAYERS,
        "decoder_layers": DECODER_LAYERS,
    }
    cell = make_cell(RunConfig(model=model, src_len=7, tgt_len=STEPS[-1], batch_size=2, device="cpu", threads=1))
    return verb.prepare(cell, [parse(label)])[0]


def trace(arm, spare, folder):
    """The profile of one strategy's last steps."""
    (done,) = traces([(arm, spare)], "cpu", STEPS, folder, 0, lambda: None)
    return done


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """``traced(label, architecture)``: the profile of a strategy's last steps; equal calls share one."""
    folder = tmp_path_factory.mktemp("profile")

    @cache
    def run(label, architecture="t5"):
        return trace(*arms_of(label, architecture), folder / architecture)

    return run


def recorded(arm, k):
    """The matrix products of step ``k``, as the probe records them."""
    arm.prefill()
    tokens = greedy(arm.session, "fixed")
    for _ in range(k - 1):
        next(tokens)
    with record(arm.session.model) as recording:
        next(tokens)
    return recording.products


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
    assert table[table["operator"] == "cat"][["shapes", "calls"]].values.tolist() == [
        ["2x3x2..4x5 2x3x1x5", 2 * DECODER_LAYERS * len(STEPS)]
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
    with torch.profiler.profile() as profiler:
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


def made_up(label, layer_ms, head_ms):
    """Two steps whose ffn takes ``layer_ms`` and lm_head ``head_ms``: (matrix products, others, Python) each."""
    rows = []
    for path, parts in (("decode_step/layer/ffn", layer_ms), ("decode_step/lm_head", head_ms)):
        rows.append((label, path, *(2e-3 * ms for ms in (sum(parts), *parts))))
    whole = tuple(2e-3 * (a + b) for a, b in zip(layer_ms, head_ms, strict=True))
    rows.append((label, "decode_step", sum(whole), *whole))
    return pd.DataFrame(rows, columns=["strategy", "range", "time_s", *KINDS]).assign(calls=2)


def said_of(table, pair, unprofiled_s):
    return diff.sentence(table, diff.compare(table, pair, unprofiled_s))


SMALLER, LARGER = ((1, 1, 1), (0.5, 0.25, 0.25)), ((6, 2, 1.5), (1.0, 0.75, 0.75))


def two(a, b):
    return pd.concat([made_up("a", *a), made_up("b", *b)])


def test_the_sentence_says_who_is_slower_by_how_much_and_where():
    table = two(SMALLER, LARGER)
    said = (
        "b takes 5.000x a's step (95 % interval 4.518 to 5.534; under the profiler 3.00x): 69 % of the profiled "
        "difference is matrix products (of these 69 points ffn has 63, lm_head 6), 19 % other operators, 12 % Python "
        "and dispatch"
    )
    for pair in (("a", "b"), ("b", "a")):
        assert said_of(table, pair, {"a": [1e-3] * 3, "b": [5e-3, 4.8e-3, 125e-3 / 24]}) == said
    first = diff.diff_table(table, "range", "time_s", table, ("b", "a")).set_index("range")
    assert first.loc["decode_step"].tolist() == pytest.approx([12e-3, 4e-3, 8e-3, 1])
    assert first.loc["decode_step/lm_head"].tolist() == pytest.approx([2.5e-3, 1e-3, 1.5e-3, 1.5 / 8])


def test_the_ratio_is_of_times_paired_within_rounds():
    drifting = [1e-3, 2e-3, 4e-3, 8e-3, 16e-3]
    times = {"a": drifting, "b": [3 * t for t in drifting]}
    ratio = diff.compare(two(SMALLER, LARGER), ("a", "b"), times).ratio
    assert (ratio.value, ratio.low, ratio.high, ratio.rounds) == (
        pytest.approx(3),
        pytest.approx(3),
        pytest.approx(3),
        5,
    )


def test_points_of_the_parts_add_up_to_their_whole_with_what_is_not_named():
    table = two(((1, 1, 1), (0, 0, 0)), ((1.9, 1.5, 1.1), (0.04, 0, 0)))
    said = said_of(table, ("a", "b"), {"a": [1e-3] * 3, "b": [2e-3] * 3})
    assert "61 % of the profiled difference is matrix products (of these 61 points ffn has 58, the rest 3)" in said


@pytest.mark.parametrize("pair", [("a", "b"), ("b", "a")])
def test_a_profile_that_contradicts_the_unprofiled_times_is_told_of_and_not_divided(pair):
    """b takes three times as long under the profiler, but a twice as long without it."""
    times = {"a": [2e-3, 2.02e-3, 1.98e-3], "b": [1e-3] * 3}
    found = diff.compare(two(SMALLER, LARGER), pair, times)
    assert (found.slow, found.fast, found.divided) == ("a", "b", False)
    said = diff.sentence(two(SMALLER, LARGER), found)
    assert said.startswith("a takes 2.000x b's step (95 % interval 1.95")
    assert said.endswith(
        "but 0.33x under the profiler: the profile says the opposite, so the difference is not divided"
    )


def test_a_difference_that_the_profile_does_not_show_is_not_divided():
    found = diff.compare(two(LARGER, LARGER), ("a", "b"), {"a": [2e-3] * 3, "b": [1e-3] * 3})
    assert not found.divided
    said = diff.sentence(two(LARGER, LARGER), found)
    assert said.endswith("1.00x under the profiler: the profile does not show it, so the difference is not divided")
    shares = diff.diff_table(two(LARGER, LARGER), "range", "time_s", two(LARGER, LARGER), ("a", "b"))["share"]
    assert shares.isna().all()


def test_an_interval_that_holds_one_is_the_same_time_within_noise_whatever_the_profile_says():
    times = {"a": [1e-3, 2e-3, 1e-3, 2e-3, 1e-3], "b": [2e-3, 1e-3, 2e-3, 1e-3, 2e-3]}
    found = diff.compare(two(SMALLER, LARGER), ("a", "b"), times)
    assert found.ratio.low < 1 < found.ratio.high
    said = diff.sentence(two(SMALLER, LARGER), found)
    assert said.startswith(
        "b and a take the same time for a step within noise: the first takes 1.149x the second's (95 %"
    )
    assert said.endswith("under the profiler 3.00x); there is no difference to divide")


def test_the_sentence_tells_of_what_takes_less_and_of_equals():
    table = two(((1, 1, 3), (0, 0, 0)), ((4, 1, 2), (0, 0, 0)))
    said = said_of(table, ("a", "b"), {"a": [1e-3] * 3, "b": [2e-3] * 3})
    assert said.endswith(
        "150 % of the profiled difference is matrix products (of these 150 points ffn has 150), 0 % other operators, "
        "-50 % Python and dispatch (negative: b takes less there)"
    )
    said = said_of(two(SMALLER, LARGER), ("a", "b"), {"a": [1e-3] * 3, "b": [1.01e-3] * 3})
    assert said.startswith("b and a take the same time for a step within 2 %: the first takes 1.010x the second's")


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


def test_the_differences_of_the_parts_add_up_to_that_of_the_step(traced):
    pair = "full_recompute", "static_kv"
    ranges = pd.concat([range_table(traced(label)) for label in pair])
    operators = pd.concat([operator_table(traced(label)) for label in pair])
    by_range = diff.diff_table(ranges, "range", "time_s", ranges, pair).set_index("range")
    first, second = (step_of(ranges[ranges["strategy"] == label]) for label in pair)
    assert by_range.loc["decode_step", "more_s"] == pytest.approx(first["time_s"] - second["time_s"])
    assert by_range.loc["decode_step", "share"] == pytest.approx(1)
    by_operator = diff.diff_table(operators, "operator", "self_s", ranges, pair)
    python_s = first["python_s"] - second["python_s"]
    assert by_operator["more_s"].sum() + python_s == pytest.approx(first["time_s"] - second["time_s"])
    assert by_range.loc["decode_step/layer/cross_attn/project_kv", "second_s"] == 0


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The finished command with two strategies and its run folder."""
    folder = tmp_path_factory.mktemp("command")
    strategies = "strategies=[static_kv,'static_kv(capacity=16,read=buffer)']"
    done = suites("profile", strategies, "seq_len=8", *SMALL_MODEL, "--steps", "2", folder=folder, check=True)
    (run_dir,) = (folder / "results").iterdir()
    return done, run_dir


LABELS = ["static_kv", "static_kv(capacity=16,read=buffer)"]


def test_a_user_sees_the_shares_first_the_tables_and_where_the_traces_are(command):
    done, run_dir = command
    lines = done.stdout.splitlines()
    for line, label in zip(lines, LABELS, strict=False):
        shares = re.fullmatch(
            re.escape(label)
            + r": a step is (\d+) % matrix products, (\d+) % other operators, (\d+) % Python and dispatch",
            line,
        )
        assert sum(map(int, shares.groups())) == 100
    assert f"{LABELS[0]}, prefill and 2 steps, k = 7 to 8, on cpu" in lines
    # Torch warns of memory that the process had from the one that it was forked from.
    assert [
        line for line in done.stderr.splitlines() if not line.endswith("s left") and "CPUAllocator" not in line
    ] == []
    assert "\x1b" not in done.stdout
    traces = sorted(run_dir.glob("profile/*/decodebench.*.pt.trace.json"))
    assert [path.parent.name for path in traces] == ["static_kv", "static_kv-capacity-16-read-buffer"]
    for label, path in zip(LABELS, traces, strict=True):
        told = f"trace of {label}: {path.relative_to(run_dir.parent.parent)} ({quantity(path.stat().st_size, 'B')})"
        assert told in lines
    assert "this trace is over" not in done.stdout
    assert "https://ui.perfetto.dev" in done.stdout


def test_the_run_folder_holds_tables_traces_configuration_and_machine_and_is_not_the_latest_run(command):
    _, run_dir = command
    assert run_dir.name.endswith("_profile")
    names = ["config.yaml", "environment.json", "operators.csv", "profile", "ranges.csv", "unprofiled.csv"]
    assert sorted(path.name for path in run_dir.iterdir()) == names
    config = OmegaConf.load(run_dir / "config.yaml")
    assert [strategy.label for strategy in select(list(config.strategies))] == LABELS
    assert (config.seq_len, config.device, "measure" in config) == (
        8,
        "cuda" if torch.cuda.is_available() else "cpu",
        False,
    )
    assert config.threads >= 1
    unprofiled = pd.read_csv(run_dir / "unprofiled.csv")
    assert unprofiled[["strategy", "round"]].values.tolist() == [[label, i] for label in LABELS for i in range(ROUNDS)]


def test_what_is_printed_is_what_the_files_hold(command):
    done, run_dir = command
    blocks = re.split(r"\n\n", done.stdout)
    ranges, operators = pd.read_csv(run_dir / "ranges.csv"), pd.read_csv(run_dir / "operators.csv")
    assert ranges["strategy"].unique().tolist() == operators["strategy"].unique().tolist() == LABELS
    for index, label in enumerate(LABELS):
        shown = [line.split() for line in blocks[1 + 2 * index].splitlines()[2:]]
        mine = ranges[ranges["strategy"] == label].to_dict("records")
        assert [row[0] for row in shown] == [row["range"].split("/")[-1] for row in mine]
        for printed, row in zip(shown, mine, strict=True):
            times = " ".join(quantity(row[name], "s") for name in ("time_s", "self_s"))
            shares = " ".join(f"{100 * row[name] / row['time_s']:.1f}" for name in KINDS)
            text = f"{row['calls']} {times} {100 * row['share']:.1f} {shares} {row['products']}"
            assert " ".join(printed[1:]) == f"{text} {quantity(row['allocated_bytes'], 'B')}"
        lines = blocks[2 + 2 * index].splitlines()[2:]
        mine = operators[(operators["strategy"] == label) & (operators["range"] == "decode_step")]
        for line, row in zip(lines[: printed_tables.TOP], mine.to_dict("records"), strict=False):
            numbers = f"{row['calls']} {quantity(row['self_s'], 's')} {100 * row['share']:.1f}"
            shapes = "" if pd.isna(row["shapes"]) else row["shapes"]
            text = f"{row['operator']} {numbers} {quantity(row['allocated_bytes'], 'B')} {shapes}"
            assert " ".join(line.split()) == text.strip()
        assert lines[printed_tables.TOP] == f"and {len(mine) - printed_tables.TOP} more in operators.csv"


@pytest.fixture
def profile(capsys, monkeypatch, tmp_path):
    """``profile(*arguments)`` in this process -> (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    for name in ("KINETO_LOG_LEVEL", "TORCH_CPP_LOG_LEVEL"):
        monkeypatch.setenv(name, "6" if name.startswith("KINETO") else "ERROR")

    def run(*arguments):
        code = main(["profile", *arguments])
        return code, *capsys.readouterr()

    return run


SMALL = [*SMALL_MODEL, "threads=1", "seq_len=8"]


def test_diff_needs_no_list_and_says_where_the_time_went_before_two_tables(profile, tmp_path):
    code, out, _ = profile(*SMALL, "--diff", "full_recompute", "static_kv", "--at", "2", "--steps", "1")
    assert code == 0
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["full_recompute", "static_kv"]
    (path,) = tmp_path.glob("results/*/ranges.csv")
    ranges = pd.read_csv(path)
    prose = " ".join(lines[2 : lines.index("")])
    unprofiled = (
        pd.read_csv(path.parent / "unprofiled.csv").groupby("strategy", sort=False)["step_s"].agg(list).to_dict()
    )
    assert prose.startswith(diff.sentence(ranges, diff.compare(ranges, ("full_recompute", "static_kv"), unprofiled)))
    key = lines.index("1 full_recompute")
    assert lines[key + 1 : key + 4] == ["2 static_kv", "", "a step, mean of 1 step, k = 2"]
    steps = [
        quantity(step_of(ranges[ranges["strategy"] == label])["time_s"], "s")
        for label in ("full_recompute", "static_kv")
    ]
    shown = next(line for line in lines if line.startswith("decode_step"))
    assert " ".join(shown.split()).startswith(f"decode_step {steps[0]} {steps[1]} ")
    config = OmegaConf.load(path.parent / "config.yaml")
    assert list(config.strategies) == ["full_recompute", "static_kv"]


LONG = "static_kv(cross=recompute,capacity=16,read=buffer)"


@pytest.fixture
def printed(traced, capsys, monkeypatch, tmp_path):
    """``printed(width, pair, labels)``: lines of a report on a terminal that is so wide, on none where it is 0."""
    for name in ("NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)

    def run(width, pair=None, labels=("full_recompute", LONG)):
        if width:
            monkeypatch.setenv("FORCE_COLOR", "1")
            monkeypatch.setenv("COLUMNS", str(width))
        done = [traced(label) for label in labels]
        ranges, operators = (pd.concat(map(table, done)) for table in (range_table, operator_table))
        report.print_report(done, ranges, operators, tmp_path, pair)
        out = capsys.readouterr().out
        assert ("\x1b" in out) == bool(width)
        return re.sub(r"\x1b\[[\d;]*m", "", out).splitlines(), operators

    return run


def first_words(lines, head):
    """The first words of the rows of every table whose first column is ``head``."""
    words, inside = [], False
    for line in lines:
        if inside and (not line.strip() or line.startswith("and ")):
            inside = False
        if inside and not line.startswith(" "):  # shapes that are wrapped have nothing to their left
            words.append(line.split()[0])
        inside |= line.split()[:1] == [head]
    return words


PATHS = ("trace of ", "tensorboard --logdir ", "ranges.csv, ")
"""Lines with a path, which stays whole to be copied."""


@pytest.mark.parametrize("pair", [None, ("full_recompute", LONG), (LONG, "full_recompute")])
def test_a_terminal_of_80_columns_breaks_no_line_and_no_operator(printed, monkeypatch, pair):
    monkeypatch.setattr(printed_tables, "TOP", 1000)
    lines, operators = printed(80, pair)
    assert [line for line in lines if len(line) > 80 and not line.startswith(PATHS)] == []
    names = set(operators[operators["range"] == "decode_step"]["operator"])
    assert max(map(len, names)) > 40
    assert set(first_words(lines, "operator")) == names
    blocks = {"self_attn", "cross_attn", "project_kv", "ffn", "lm_head"}
    assert blocks <= {line.split()[0] for line in lines if line.strip()}


def test_a_name_that_no_terminal_has_room_for_stays_whole_all_the_same(printed):
    lines, operators = printed(50, ("full_recompute", LONG))
    assert set(first_words(lines, "operator")) <= set(operators["operator"])
    assert f"2 {LONG}" in lines


@pytest.mark.parametrize("pair", [("full_recompute", LONG), (LONG, "full_recompute")])
def test_a_diff_numbers_its_strategies_the_pair_first(printed, pair):
    lines, _ = printed(80, pair, labels=("static_kv", "full_recompute", LONG))
    key = lines.index(f"1 {pair[0]}")
    assert lines[key : key + 3] == [f"1 {pair[0]}", f"2 {pair[1]}", "3 static_kv"]
    heads = [line.split()[:6] for line in lines if line.startswith(("range ", "operator "))]
    assert [head[1:6] for head in heads] == [["1", "2", "1", "-", "2"]] * 2
    assert first_words(lines, "strategy")[:3] == ["1", "2", "3"]


def test_a_diff_says_how_many_more_operators_the_file_has(printed, monkeypatch):
    monkeypatch.setattr(printed_tables, "TOP", 5)
    lines, operators = printed(80, ("full_recompute", LONG))
    shown = first_words(lines, "operator")
    count = operators[operators["range"] == "decode_step"]["operator"].nunique()
    assert len(shown) == 5
    assert f"and {count - 5} more in operators.csv" in lines


def test_percentages_of_a_difference_that_is_not_there_are_not_shown(printed, monkeypatch):
    for divided in (True, False):
        monkeypatch.setattr(diff.Comparison, "divided", divided)
        monkeypatch.setattr(report, "sentence", lambda ranges, comparison: "said")
        lines, _ = printed(80, ("full_recompute", LONG))
        assert any("% of it" in line for line in lines) == divided


@pytest.mark.parametrize("pair", [None, ("full_recompute", LONG)])
def test_without_a_terminal_prose_is_wrapped_to_be_read_and_tables_are_not(printed, pair):
    lines, operators = printed(0, pair)
    start = next(i for i, line in enumerate(lines) if line.startswith(("share: %", "% of it:", "1 - 2:")))
    legend = lines[start : lines.index("", start)]
    assert len(legend) > 2
    assert max(map(len, legend)) <= 100
    assert " ".join(legend) in (report.LEGEND, report.DIFF_LEGEND, report.DIVIDED_LEGEND)
    if pair is None:
        shapes = operators[operators["range"] == "decode_step"].groupby("strategy").head(printed_tables.TOP)["shapes"]
        assert all(any(line.rstrip().endswith(shape) for line in lines) for shape in shapes)
        assert max(map(len, lines)) > 100


def test_the_folder_of_a_measured_run_is_refused(profile, tmp_path):
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    code, out, err = profile(*SMALL, "strategies=[static_kv]", "hydra.run.dir=measured")
    assert (code, out) == (1, "")
    assert err == (
        "decodebench: run folder measured holds the run.json of a measured run, which a profile would overwrite in "
        "part; choose another by hydra.run.dir=DIR\n"
    )
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_large_trace_is_warned_of_with_a_remedy(profile, monkeypatch):
    monkeypatch.setattr(report, "LARGE_BYTES", 1000)
    _, out, _ = profile(*SMALL, "strategies=[static_kv]", "--steps", "1", "hydra.run.dir=here")
    assert "warning: this trace is over 1000 B, viewers may fail; profile fewer --steps" in out
    assert Path("here/ranges.csv").exists()


def test_a_busy_machine_is_told_of(traced):
    quiet, busy = (replace(traced("static_kv"), waited=waited) for waited in (0.1, 0.35))
    assert report.busy_lines([quiet, busy]) == [
        "warning: static_kv had to wait for a processor in 35 % of the profiled time: the machine is busy with other "
        "things; profile again, or give fewer threads"
    ]


MISTAKES = [
    (["strategies=[statik_kv]"], "unknown strategy 'statik_kv'; did you mean 'static_kv'?"),
    (["--diff", "static_kv", "nothing"], "unknown strategy 'nothing'"),
    (["--diff", "static_kv", "static_kv()"], "--diff static_kv static_kv is one strategy; give two that differ"),
    (["--diff", "static_kv", "cross_kv", "strategies=[static_kv]"], "--diff names cross_kv, which is not among"),
    (["--diff", "static_kv"], "profile: argument --diff: expected 2 arguments; see profile --help"),
    (["strategies=['static_kv(capacity=4)']"], "capacity=4 cannot hold a target of 8 tokens"),
    (["--at", "9"], "--at 9 is not allowed with tgt_len=8; give at most 8, or a larger tgt_len"),
    (["--steps", "9"], "--steps 9 is not allowed with tgt_len=8; give at most 8, or a larger tgt_len"),
    (["--at", "7", "--steps", "3"], "ends at step 9, beyond tgt_len=8; give --at 6 or less, or a larger tgt_len"),
    (["--at", "0"], "argument --at: 0 is not allowed; give a whole number of at least 1"),
    (["--steps", "two"], "argument --steps: two is not allowed"),
    (["--fast"], "unrecognized arguments: --fast"),
    (["seqlen=3"], "unknown key 'seqlen' in 'seqlen=3'; did you mean 'seq_len'?"),
    (["batch_size=1,2"], "profile takes one case, not a sweep of 2"),
    (["+sweep=src_len"], "profile takes one case, not a sweep of"),
    (["measure.stop=eos"], "profile: measure.stop=eos has no effect"),
    (["model=t5", "model.checkpoint=/nowhere"], "/nowhere is not a folder"),
    (["hydra.run.dir=/dev/null"], "cannot make the run folder"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_line_and_nothing_is_written(profile, tmp_path, arguments, said):
    code, out, err = profile(*(SMALL if "model=t5" not in arguments else ["seq_len=8"]), *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("decodebench: ")
    assert err.count("\n") == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_missing_gpu_is_a_mistake_here(profile):
    assert "device=cuda: no CUDA device here; give device=cpu" in profile(*SMALL, "device=cuda")[2]


def test_help_comes_without_torch():
    code = "import sys; from suites.__main__ import main; main(['profile', '--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"
    for option in ("--diff", "--steps", "--at", "KEY=VALUE"):
        assert option in done.stdout


def test_steps_end_at_the_target_by_default():
    assert verb.step_range(None, None, 64) == range(61, 65)
    assert verb.step_range(None, None, 2) == range(1, 3)
    assert verb.step_range(63, None, 64) == range(63, 65)
    assert verb.step_range(1, 2, 64) == range(1, 3)
