"""torch's settings of a process: what they are on CUDA by default, and that they are put back."""

import copy

import pytest
import torch

from strategies import ModelError
from strategies.models import torch_settings
from strategies.models.kernels import execution
from strategies.models.kernels.attention_kernel import use_attention
from strategies.models.positions import aligned_rows
from strategies.models.torch_settings import (
    ATTENTION,
    allow_attention,
    any_attention,
    enabled_attention,
    kept,
    use_tf32,
)


@pytest.fixture(autouse=True)
def _settings_of_a_new_process():
    with kept():
        allow_attention("auto", "cpu")
        use_tf32(False)
        yield


def test_auto_leaves_the_choice_to_torch_but_for_cudnn_on_cuda():
    allow_attention("auto", "cuda")
    assert enabled_attention() == ["flash", "efficient", "math"]
    allow_attention("auto", "cpu")
    assert enabled_attention() == ["flash", "efficient", "cudnn", "math"]


@pytest.mark.parametrize("kind", ATTENTION[1:])
def test_a_kernel_that_is_asked_for_is_the_only_one(kind):
    allow_attention(kind, "cuda")
    assert enabled_attention() == [kind]
    with any_attention("cuda"):
        assert len(enabled_attention()) == 3
    assert enabled_attention() == [kind]


def test_the_first_model_on_cuda_sets_the_defaults_and_later_ones_leave_them(monkeypatch):
    product = torch.backends.cuda.matmul
    before = product.allow_bf16_reduced_precision_reduction, product.allow_fp16_reduced_precision_reduction
    set_defaults = torch_settings.set_defaults.__wrapped__
    try:
        use_tf32(True)
        set_defaults()
        assert enabled_attention() == ["flash", "efficient", "math"]
        assert not product.allow_tf32
        assert not product.allow_bf16_reduced_precision_reduction
        assert not product.allow_fp16_reduced_precision_reduction
    finally:
        product.allow_bf16_reduced_precision_reduction, product.allow_fp16_reduced_precision_reduction = before


def test_settings_are_put_back_after_an_error():
    def fails():
        with kept():
            allow_attention("math", "cpu")
            use_tf32(True)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert enabled_attention() == ["flash", "efficient", "cudnn", "math"]
    assert not torch.backends.cuda.matmul.allow_tf32


def test_another_kernel_keeps_compiled_steps_from_writing_attention_out_and_forgets_older_ones(tiny_model):
    model = copy.deepcopy(tiny_model("t5"))
    attention = model.decoder.layers[0].cross_attn
    execution._COMPILED[model] = {"a key": None}
    use_attention(model, "auto")
    assert attention.may_write_out
    assert model in execution._COMPILED
    use_attention(model, "flash")
    assert not attention.may_write_out
    assert model not in execution._COMPILED
    with pytest.raises(ModelError, match="attention=fast is not known; known: auto, flash, efficient, cudnn, math"):
        use_attention(model, "fast")


def test_rows_of_a_bias_are_left_alone_on_the_cpu():
    bias = torch.ones(1, 2, 3, 5)
    assert aligned_rows(bias) is bias
