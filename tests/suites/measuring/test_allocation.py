"""Arms are allocated with the attention kernel and the settings of torch of their own cell."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from strategies import parse
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.models import torch_settings
from strategies.models.torch_settings import kept
from suites.measuring import loaded as loading
from suites.measuring.allocation import allocated
from suites.measuring.loaded import loaded
from suites.settings.inputs import make_inputs

from .one_cell import CELL, measure


@pytest.fixture(autouse=True)
def _settings_as_before():
    with kept():
        yield
    loading._kept.clear()


def test_a_compiled_step_has_the_kernel_of_its_own_cell_not_that_of_one_compiled_before():
    """Neither the model's earlier step, nor torch's cache of compiled code on disk, may serve another kernel."""
    found = {}
    for kind in ("flash", "math"):
        cell = dataclasses.replace(CELL, attention=kind)
        model, _ = loaded(cell, compiled=True)
        arm, found[kind] = allocated(
            parse("contiguous_kv(execution=compiled)"), model, make_inputs(cell, model.config), cell
        )
        assert arm.session.model is model
    assert found == {"flash": {"flash"}, "math": {"math", "loop"}}


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_that_of_the_cell_after_the_first_model_on_cuda_has_set_the_defaults(tf32, monkeypatch):
    product, load = torch.backends.cuda.matmul, loading.load_model
    before = product.allow_bf16_reduced_precision_reduction, product.allow_fp16_reduced_precision_reduction

    def first_on_cuda(*given):
        torch_settings.set_defaults.__wrapped__()
        return load(*given)

    monkeypatch.setattr(loading, "load_model", first_on_cuda)
    try:
        loaded(dataclasses.replace(CELL, tf32=tf32), compiled=False)
        assert product.allow_tf32 == tf32
    finally:
        product.allow_bf16_reduced_precision_reduction, product.allow_fp16_reduced_precision_reduction = before


class NoKernelStore(ContiguousStore):
    def append(self, *arguments):
        raise RuntimeError("No available kernel. Aborting execution.")


@dataclass(frozen=True)
class NoKernel(ContiguousKV):
    label = "no_kernel"

    def self_kv(self, shape):
        return NoKernelStore(shape)


@pytest.mark.parametrize(
    ("attention", "status", "reason"),
    [
        ("auto", "failed", "RuntimeError: No available kernel. Aborting execution.; traceback in "),
        ("math", "skipped", "attention=math cannot be used here: torch has no such kernel here"),
    ],
)
def test_only_a_kernel_that_was_asked_for_is_a_reason_to_skip(tmp_path, attention, status, reason):
    cell = dataclasses.replace(CELL, attention=attention)
    found = measure([parse("full_recompute"), NoKernel()], tmp_path, cell)
    assert found["full_recompute"].status == "ok"
    assert found["no_kernel"].status == status
    assert found["no_kernel"].reason.startswith(reason)


def test_dispatch_that_the_kernel_of_the_cell_refuses_is_not_known_and_no_failure(tmp_path, monkeypatch):
    """Its model is a small one, whose sizes the kernel may refuse though it takes those of the cell."""

    def refused(*given):
        raise RuntimeError("No available kernel. Aborting execution.")

    monkeypatch.setattr("suites.measuring.probing.dispatch_s", refused)
    found = measure([parse("static_kv")], tmp_path, dataclasses.replace(CELL, attention="math"))
    assert (found["static_kv"].status, found["static_kv"].dispatch_s) == ("ok", None)
    found = measure([parse("static_kv")], tmp_path, CELL)
    assert found["static_kv"].status == "failed", "no kernel was asked for, so the error is one"
