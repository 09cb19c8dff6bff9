"""Where contenders run: which cells each takes, and why it takes no other."""

import dataclasses
import sys
from types import SimpleNamespace

import pytest
import torch

from suites.contenders import Contender, ContenderError, UnavailableError, registry
from suites.contenders.ct2 import require_cuda, told_of_libraries
from suites.contenders.exported import ct2_folder
from suites.contenders.running import judgement, lineup
from suites.contenders.running.lineup import why_not
from suites.settings.faults import Fault
from suites.settings.inputs import make_inputs

TRANSFORMERS = [name for name in registry() if name.startswith("transformers_")]
CELLS = {(device, dtype) for device in ("cpu", "cuda") for dtype in ("fp32", "bf16", "fp16")}
CUDA = {cell for cell in CELLS if cell[0] == "cuda"}
TAKEN = {
    **dict.fromkeys(TRANSFORMERS, {("cpu", "fp32")} | CUDA),
    "ctranslate2_float32": {("cpu", "fp32"), ("cuda", "fp32")},
    "ctranslate2_half": {("cuda", "bf16"), ("cuda", "fp16")},
    "ctranslate2_int8": {("cpu", "fp32")} | CUDA,
    "onnxruntime_float32": {("cpu", "fp32")},
    "onnxruntime_int8": {("cpu", "fp32")},
}


class Silent(Contender):
    """Of a user, who knows of no device but the CPU."""


class Confident(Contender):
    """Of a user, whose own reasons are no others."""

    @classmethod
    def supports(cls, cell):
        return ""


def placed(cell, device, dtype):
    return dataclasses.replace(cell, device=device, dtype=dtype)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", list(TAKEN))
def test_each_takes_the_cells_that_it_says_and_names_what_to_give_for_others(fixed_cell, name, device, dtype):
    contender = registry()[name]
    reason = contender.outside(placed(fixed_cell, device, dtype))
    assert (reason == "") == ((device, dtype) in TAKEN[name])
    if reason:
        alone = "it runs on cpu" if device == "cuda" else "it runs on cuda"
        others = [other for where, other in TAKEN[name] if where == device]
        assert (f"not {dtype}; give dtype=" if others else f"{alone} alone, not on {device}") in reason
        assert all(other in reason.partition("give dtype=")[2] for other in others)


@pytest.mark.parametrize(
    ("name", "dtype", "asked"),
    [
        ("ctranslate2_float32", "fp32", "float32"),
        ("ctranslate2_half", "bf16", "bfloat16"),
        ("ctranslate2_half", "fp16", "float16"),
    ],
)
def test_ctranslate2_is_asked_for_the_type_of_the_cell(fixed_cell, monkeypatch, tmp_path, name, dtype, asked):
    class AskedError(Exception):
        pass

    def translator(path, *, device, compute_type, **others):
        raise AskedError(device, compute_type)

    library = SimpleNamespace(
        __version__="4",
        get_cuda_device_count=lambda: 1,
        get_supported_compute_types=lambda device: {"float32", "float16", "bfloat16"},
        Translator=translator,
    )
    monkeypatch.setitem(sys.modules, "ctranslate2", library)
    monkeypatch.setattr(ct2_folder, "ct2_folder", lambda checkpoint: checkpoint)
    with pytest.raises(AskedError) as raised:
        registry()[name]().prepare(tmp_path, placed(fixed_cell, "cuda", dtype))
    assert raised.value.args == ("cuda", asked)


@pytest.mark.parametrize(
    ("tf32", "weights", "judged"), [(True, "", "tf32"), (False, "", "fp32"), (False, "bf16", "fp32")]
)
def test_tokens_are_judged_by_the_type_of_the_whole_weights(
    tiny_model, fixed_cell, monkeypatch, tmp_path, tf32, weights, judged
):
    """Contenders are given these, whatever our own strategies multiply by."""
    asked = []

    class Arm:
        token_ids = ((1,),)

        def __init__(self, *arguments):
            pass

        def round(self, *arguments):
            pass

        close = round

    monkeypatch.setattr(lineup, "ContenderArm", Arm)
    monkeypatch.setattr(lineup, "why_not", lambda *arguments: "")
    monkeypatch.setattr(lineup, "shared_checkpoint", lambda *arguments: tmp_path)
    monkeypatch.setattr(judgement, "check_tokens", lambda oracle, token_ids, dtype, fixed: asked.append(dtype))
    cell, model = dataclasses.replace(fixed_cell, tf32=tf32, weights=weights), tiny_model("t5")
    given = cell, model, make_inputs(cell, model.config), 1.0, lambda: None, lambda *told: None, tmp_path
    with lineup.Contenders(["ctranslate2_float32"]).line_up(*given, lambda name, fault: ""):
        assert asked == [judged]


@pytest.mark.parametrize("contender", [Silent, Confident])
def test_one_that_says_nothing_of_devices_runs_on_the_cpu_in_float32_alone(tiny_model, fixed_cell, contender):
    model = tiny_model("t5")
    taken = {cell for cell in CELLS if not why_not(contender, placed(fixed_cell, *cell), model)}
    assert taken == {("cpu", "fp32")}
    assert why_not(contender, placed(fixed_cell, "cuda", "fp32"), model) == "it runs on cpu alone, not on cuda"
    reason = why_not(contender, placed(fixed_cell, "cpu", "bf16"), model)
    assert reason == "on cpu it is given fp32 weights, not bf16; give dtype=fp32"


def library(devices, *types):
    """CTranslate2, with so many devices and these compute types."""
    return SimpleNamespace(
        __version__="4.6", get_cuda_device_count=lambda: devices, get_supported_compute_types=lambda device: set(types)
    )


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (library(0), "CTranslate2 4.6 finds no CUDA device: it was built without CUDA, or for a newer driver"),
        (library(1, "float32", "float16"), "CTranslate2 has no bfloat16 on this GPU; it has float16, float32"),
    ],
)
def test_what_ctranslate2_lacks_for_cuda_is_a_reason_to_skip(found, reason):
    with pytest.raises(UnavailableError) as raised:
        require_cuda(found, "bfloat16")
    fault = Fault.of(raised.value)
    assert fault.reason.startswith(reason)
    assert (fault.status, fault.traceback) == ("skipped", "")


def test_ctranslate2_with_a_device_and_the_type_is_taken():
    require_cuda(library(1, "bfloat16", "float32"), "bfloat16")


def test_a_library_of_another_cuda_is_a_reason_to_skip_and_any_other_error_is_not():
    with pytest.raises(UnavailableError, match=r"Library libcublas\.so\.12 is not found or cannot be loaded; install"):
        with told_of_libraries():
            raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")
    with pytest.raises(RuntimeError, match="out of memory"):
        with told_of_libraries():
            raise RuntimeError("CUDA failed with error out of memory")


def test_a_process_without_room_on_the_device_is_told_as_out_of_memory():
    """What the child answers, and what the row then says."""
    told = Fault.of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert told.reason == "out of memory: CUDA out of memory. Tried to allocate 2.00 GiB."
    row = Fault.of(ContenderError(told.reason, told.traceback))
    assert (row.reason, row.status) == (told.reason, "failed")
