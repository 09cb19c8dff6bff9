"""Which attention kernel ran, and what is said where none can."""

import warnings

import pytest
import torch
import torch.nn.functional as F

from strategies import ModelSpec, Session, load_model, parse
from strategies.models.torch_settings import allow_attention, kept
from suites.probes import attention
from suites.probes.attention import NoKernelError, attention_kernels, kernel_errors, reasons


@pytest.fixture(autouse=True)
def _settings_as_before():
    with kept():
        yield


def attend():
    q = torch.ones(1, 2, 3, 8)
    return F.scaled_dot_product_attention(q, q, q, attn_mask=torch.zeros(1, 2, 3, 3))


@pytest.mark.parametrize("execution", ["eager", "compiled", "graph"])
@pytest.mark.parametrize(("allowed", "ran"), [("auto", "flash"), ("flash", "flash"), ("math", "math")])
def test_the_kernel_is_read_from_what_ran(execution, allowed, ran):
    allow_attention(allowed, "cpu")
    with torch.no_grad():
        assert attention_kernels(attend, execution) == {ran}


def test_attention_without_an_operator_is_a_loop_of_the_compiler_or_separate_operators():
    found = [attention_kernels(lambda: torch.ones(2) + 1, execution) for execution in ("eager", "compiled", "graph")]
    assert found == [{"math"}, {"loop"}, {"math"}]


def test_several_kernels_are_all_told():
    def run():
        attend()
        allow_attention("math", "cpu")
        attend()

    with torch.no_grad():
        assert attention_kernels(run, "compiled") == {"flash", "math"}


def test_no_kernel_is_an_error_of_its_own_and_other_errors_stay_what_they_are():
    allow_attention("cudnn", "cpu")
    with pytest.raises(NoKernelError, match=r"\w"), kernel_errors("cudnn"):
        attend()
    with pytest.raises(RuntimeError, match="other"), kernel_errors("cudnn"):
        raise RuntimeError("other")


def test_where_torch_gives_no_reasons_with_its_error_it_is_asked_for_them(monkeypatch):
    """On CUDA it says "Invalid backend" and no more; the attention is that of the model's frame."""
    model, asked = load_model(ModelSpec("pronounce", "pronounce")), []

    def refused(*_, **__):
        raise RuntimeError("Invalid backend")

    def can_use(params, debug):
        asked.append((params.query.shape[-1], params.attn_mask, debug))
        warnings.warn("it takes no such size", stacklevel=1)

    monkeypatch.setattr(F, "scaled_dot_product_attention", refused)
    monkeypatch.setitem(attention._CAN_USE, "cudnn", can_use)
    session = Session(model, parse("static_kv"), 1, 3, 3)
    with pytest.raises(NoKernelError, match=r"attention=cudnn cannot be used here: it takes no such size$"):
        with kernel_errors("cudnn"):
            session.prefill(torch.full((1, 3), 40))
    assert asked == [(model.config.d_kv, None, True)]


def test_reasons_leave_out_headings_and_what_was_switched_off():
    told = [
        "Memory efficient kernel not used because: (Triggered internally at a.cpp:1.)",
        "Memory Efficient attention has been runtime disabled. (Triggered internally at a.h:2.)",
        "Flash attention kernel not used because: (Triggered internally at a.cpp:3.)",
        "Expected query, key and value to all be of dtype: {Half, BFloat16}.\n Got float. (Triggered internally at b.)",
        "Expected query, key and value to all be of dtype: {Half, BFloat16}.\n Got float. (Triggered internally at b.)",
    ]
    assert reasons(told) == "Expected query, key and value to all be of dtype: {Half, BFloat16}. Got float"
    assert reasons([]) == "torch has no such kernel here"
