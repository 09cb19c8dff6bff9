"""``profile`` on a CUDA device; skipped with the reason where there is none."""

import json

import pandas as pd
import pytest
import torch

from suites.profiling.calls import _CUDA_API
from tests.command import small_model, suites

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.fixture(scope="module", params=["", "int8"], ids=["fp32", "int8"])
def profiled(request, tmp_path_factory):
    """(the finished command, its run folder), of whole weights and of int8, whose products are compiled."""
    folder = tmp_path_factory.mktemp("profiled")
    sizes = small_model(d_model=32, d_ff=48, d_kv=16)
    asked = [*sizes, "strategies=[static_kv]", "seq_len=8", "device=cuda", *(["weights=int8"] if request.param else [])]
    done = suites("profile", *asked, "hydra.run.dir=run", folder=folder, check=True)
    return done, folder / "run"


def test_calls_of_cuda_are_no_operators(profiled):
    operators = pd.read_csv(profiled[1] / "operators.csv")
    assert not [name for name in operators["operator"] if _CUDA_API.fullmatch(name)]
    assert (operators[operators["range"] == "decode_step"]["self_s"] >= 0).all()


def test_every_range_has_kernel_time_and_a_step_has_all_of_it(profiled):
    ranges = pd.read_csv(profiled[1] / "ranges.csv").set_index("range")
    assert (ranges["device_s"] > 0).all()
    (path,) = profiled[1].glob("profile/*/*.pt.trace.json")
    events = [event for event in json.loads(path.read_text())["traceEvents"] if event.get("ph") == "X"]
    kernels = [event for event in events if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    calls = [event for event in events if event.get("cat") in ("cuda_runtime", "cuda_driver")]
    launched_at = {call["args"]["correlation"]: call["ts"] for call in calls if "correlation" in call["args"]}
    asked_at = {event["args"]["External id"]: event["ts"] for event in events if event.get("cat") == "cpu_op"}

    def asked(args):
        return asked_at.get(args.get("External id"), launched_at[args["correlation"]])

    for root in ("prefill", "decode_step"):
        spans = [e for e in events if e.get("cat") == "user_annotation" and e["name"].split()[0] == root]
        inside = sum(
            kernel["dur"]
            for kernel in kernels
            for span in spans  # clocks of the host and of CUDA may differ, so the operator on the host decides
            if span["ts"] <= asked(kernel["args"]) < span["ts"] + span["dur"]
        )
        assert 1e6 * ranges.loc[root, "device_s"] == pytest.approx(inside, rel=0.01)
        children = ranges[ranges.index.str.fullmatch(rf"{root}/\w+")]
        assert children["device_s"].sum() <= ranges.loc[root, "device_s"] * 1.001
    for name in ("layer", "lm_head"):
        assert ranges.loc[f"decode_step/{name}", "product_s"] > 0


def test_the_table_by_range_shows_it(profiled):
    out = profiled[0].stdout
    head = next(line for line in out.splitlines() if line.startswith("range "))
    assert "GPU" in head.split()
    assert "saw no kernel" not in out


def test_nvtx_ranges_can_be_opened_and_closed():
    depth = torch.cuda.nvtx.range_push("a")
    torch.cuda.nvtx.range_pop()
    assert torch.cuda.nvtx.range_push("b") == depth
    torch.cuda.nvtx.range_pop()
