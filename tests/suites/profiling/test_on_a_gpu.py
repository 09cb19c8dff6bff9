"""What a profile reads from events of a GPU, made up here, and which NVTX ranges it opens."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.autograd import DeviceType
from torch.autograd.profiler_util import EventList, FunctionEvent
from torch.profiler import profile, record_function

from suites.profiling import report
from suites.profiling import trace as tracing
from suites.profiling.calls import read_calls
from suites.profiling.ranges import NamedRange, named_ranges
from suites.profiling.tables import KINDS, operator_table, range_table
from suites.profiling.trace import Trace

from .arms import STEPS, arms_of

TRITON = "triton_red_fused_mul_sum_0"
CALLS = ("cudaLaunchKernel", "cuLaunchKernelEx", "cudaLaunchKernelExC", "cudaMemcpyAsync", "cudaDeviceSynchronize")


def on_host(name, start_us, end_us, number, kernels=(), annotation=False, **more):
    event = FunctionEvent(
        number, name, 1, start_us, end_us, use_device="cuda", is_user_annotation=annotation, input_shapes=[], **more
    )
    for kernel, us in kernels:
        event.append_kernel(kernel, 0, us)
    return event


def on_gpu(name, start_us, end_us, number, annotation=False):
    return FunctionEvent(
        number, name, 7, start_us, end_us, use_device="cuda", device_type=DeviceType.CUDA, is_user_annotation=annotation
    )


@pytest.fixture
def calls():
    """Of one step of 1 ms, as torch 2.13 gives it: numbers of operators and of CUDA's calls are counted apart."""
    events = [
        on_host("ProfilerStep*", 0, 1000, 90, annotation=True),
        on_host("decode_step 1", 0, 1000, 91, [("decode_step 1", 900)], annotation=True),
        on_host("ffn", 0, 400, 92, [("ffn", 300)], annotation=True),
        on_host("aten::linear", 10, 300, 3),
        on_host("aten::addmm", 20, 290, 4, [("gemm", 50), ("splitk", 5)]),
        on_host("cudaLaunchKernelExC", 100, 180, 1),
        on_host("cuLaunchKernelEx", 110, 150, 2),
        on_gpu("gemm", 500, 550, 1),
        on_gpu("splitk", 550, 555, 2),
        # Nothing but the range is around this one.
        on_host("cudaMemcpyAsync", 310, 340, 77),
        on_gpu("Memcpy HtoD", 560, 567, 77),
        # torch gives this call the kernels of the operator that has its number.
        on_host("cudaDeviceSynchronize", 800, 990, 4, [("gemm", 50), ("splitk", 5)]),
        on_host("lm_head", 410, 700, 93, annotation=True),
        on_host("TorchDynamo Cache Lookup", 420, 430, 5),
        on_host("Torch-Compiled Region: 3/0", 430, 690, 6),
        on_host("## Call CompiledFxGraph fabc ##", 450, 650, 94, annotation=True, device_memory_usage=64),
        on_host(TRITON, 460, 560, 8, [(TRITON, 20)]),
        on_host("cudaLaunchKernel", 470, 520, 9),
        on_gpu(TRITON, 570, 590, 9),
        on_host("Activity Buffer Request", 660, 680, 10),
        on_gpu("decode_step 1", 500, 590, 91, annotation=True),
        on_host("cudaDeviceSynchronize", 1001, 1002, 78),
    ]
    for outer in events[:2] + [event for event in events if event.name in ("lm_head", "Torch-Compiled Region: 3/0")]:
        outer.device_memory_usage = 64  # of the annotation inside
    tree = EventList(events, use_device="cuda")
    tree._build_tree()
    return read_calls(tree)


def step_of(calls, device="cuda"):
    return Trace("made_up", device, range(1, 2), calls, [1e-3], 0.0, Path("nowhere"))


def test_calls_of_cuda_and_notes_of_the_compiler_are_no_operators(calls):
    table = operator_table(step_of(calls))
    assert sorted(table["operator"]) == ["Torch-Compiled Region", "addmm", "linear", TRITON]
    assert not {call.name for call in calls} & {*CALLS, "TorchDynamo Cache Lookup", "Activity Buffer Request"}
    assert [call.name for call in calls if call.is_range] == ["decode_step 1", "ffn", "lm_head"]


def test_their_host_time_and_memory_are_those_of_the_operator_around_them(calls):
    """Microseconds: 270 in addmm with its launch, 20 in linear beside it; 260 - 100 in the compiled product."""
    found = {call.name: (round(call.self_s * 1e6), call.allocated_bytes) for call in calls if not call.is_range}
    assert found == {
        "aten::linear": (20, 0), "aten::addmm": (270, 0), "Torch-Compiled Region": (160, 64), TRITON: (100, 0)
    }  # fmt: skip


def test_time_outside_of_operators_is_python_and_dispatch_on_the_host(calls):
    rows = range_table(step_of(calls, "cpu")).set_index("range")
    assert (1e6 * rows["python_s"]).round().to_dict() == {
        "decode_step": 1000 - 290 - 260, "decode_step/ffn": 400 - 290, "decode_step/lm_head": 290 - 260
    }  # fmt: skip


def test_kernel_time_is_known_of_every_range_and_counted_once(calls):
    rows = range_table(step_of(calls)).set_index("range")
    assert (1e6 * rows["device_s"]).round().to_dict() == {
        "decode_step": 55 + 7 + 20, "decode_step/ffn": 55 + 7, "decode_step/lm_head": 20
    }  # fmt: skip
    assert (rows["product_s"] + rows["other_s"]).tolist() == pytest.approx(rows["device_s"].tolist())
    step = rows.loc["decode_step"]
    assert step[list(KINDS)].sum() == pytest.approx(step["time_s"])
    assert rows["python_s"].isna().tolist() == [False, True, True]


def test_a_compiled_product_is_a_matrix_product(calls):
    rows = range_table(step_of(calls)).set_index("range")
    assert (1e6 * rows.loc["decode_step/lm_head", "product_s"]).round() == 20
    table = operator_table(step_of(calls)).set_index("operator")
    assert table.loc[TRITON, "kind"] == KINDS["product_s"]
    assert table["device_s"].sum() == pytest.approx(75e-6)


def test_on_a_cpu_no_range_has_time_of_a_gpu(traced):
    assert (range_table(traced("static_kv"))["device_s"] == 0).all()


def printed(capsys, tmp_path, trace):
    trace.path.parent.mkdir(exist_ok=True)
    trace.path.write_text("{}")
    report.print_report([trace], range_table(trace), operator_table(trace), tmp_path, None)
    return capsys.readouterr().out


def test_the_printed_table_by_range_has_the_gpus_time_and_on_a_cpu_it_has_not(calls, capsys, tmp_path):
    for device in ("cuda", "cpu"):
        out = printed(capsys, tmp_path, replace(step_of(calls, device), path=tmp_path / "t.json"))
        head = next(line.split() for line in out.splitlines() if line.startswith("range "))
        ffn = next(line for line in out.splitlines() if line.startswith(" ffn "))
        told = "GPU: time of the kernels launched inside." in " ".join(out.split())
        assert ("GPU" in head, " 62 µs " in ffn, told) == ((True,) * 3 if device == "cuda" else (False,) * 3)
        assert "warning" not in out


def test_a_profiler_that_sees_no_kernel_says_so(calls, capsys, tmp_path):
    blind = replace(step_of([replace(call, device_s=0.0) for call in calls]), path=tmp_path / "t.json")
    assert "warning: torch's profiler saw no kernel of made_up on the GPU" in printed(capsys, tmp_path, blind)
    assert report.blind_lines([replace(blind, device="cpu")]) == []


@pytest.fixture
def nvtx(monkeypatch):
    """What was pushed and popped: the names, with their depth; None where a range ended."""
    seen, depth = [], [0]

    def push(name):
        seen.append((depth[0], name))
        depth[0] += 1

    def pop():
        assert depth[0] > 0
        depth[0] -= 1
        seen.append(None)

    monkeypatch.setattr(torch.cuda.nvtx, "range_push", push)
    monkeypatch.setattr(torch.cuda.nvtx, "range_pop", pop)
    return seen


def test_nvtx_ranges_are_those_of_the_profile_with_the_strategys_label_around_them(nvtx, monkeypatch):
    arm, spare = arms_of("static_kv")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(tracing, "profile", lambda activities, **rest: profile(**rest))  # here is no GPU to watch
    *_, profiler = tracing.profile_once(arm, spare, "cuda", STEPS)
    found = [entry for entry in nvtx if entry]
    assert nvtx.count(None) == len(found)
    assert found[0] == (0, "static_kv")
    names = [name for _, name in found]
    (first,) = (i for i, name in enumerate(names) if name == "prefill")
    read = read_calls(profiler.events())
    assert found[first:] == [(len(call.ranges), call.name) for call in read if call.is_range]
    assert names[1:first] == names[first + 1 : 2 * first]  # the warm-up prefill, which has no range of its own


def test_a_cpu_has_no_nvtx_ranges(nvtx):
    arm, spare = arms_of("static_kv")
    tracing.profile_once(arm, spare, "cpu", STEPS)
    assert nvtx == []


@pytest.mark.parametrize("error", [ArithmeticError, KeyboardInterrupt])
def test_nvtx_ranges_end_with_an_error_as_with_an_interrupt(nvtx, error):
    class Failing(nn.Module):
        def forward(self, x):
            raise error

    model = nn.Module()
    model.lm_head = Failing()
    with pytest.raises(error), NamedRange("decode_step 1", "cuda"), named_ranges(model, "cuda"):
        model.lm_head(torch.ones(1))
    assert nvtx == [(0, "decode_step 1"), (1, "lm_head"), None, None]


def test_a_function_that_torch_compiled_is_one_operator_of_the_range_around_it():
    """By torch's own profiler, which notes what its compiler does around the function and inside it."""
    compiled = torch.compile(lambda x: (x * x).sum(-1))
    x = torch.ones(3, 8)
    compiled(x)
    with profile(acc_events=True) as profiler, record_function("decode_step 1"), record_function("ffn"):
        compiled(x)
        x.exp()
    read = read_calls(profiler.events())
    assert [call.name for call in read if call.is_range] == ["decode_step 1", "ffn"]
    operators = [call.name for call in read if not call.is_range]
    assert operators[0] == "Torch-Compiled Region"
    assert set(operators[1:]) - {"aten::exp"} <= {"aten::empty_strided"}
    assert all(call.ranges == ("decode_step 1", "ffn") for call in read if not call.is_range)
