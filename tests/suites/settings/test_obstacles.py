"""What a model's sizes rule out is said before anything is measured."""

import pytest
import torch

from strategies.models.kernels import packing
from suites.settings.cells import make_cell
from suites.settings.obstacles import obstacle
from suites.settings.overrides import compose_jobs, read_overrides
from tests.command import SMALL_MODEL

SIZES = {one.partition("=")[0]: one for one in SMALL_MODEL}


def obstacles(*arguments):
    """What rules out the cells of a small model, of whose sizes some are others."""
    given = {
        one.partition("=")[0]: one
        for one in ("device=cpu", "seq_len=4", "model.d_model=32", "model.d_ff=64", *arguments)
    }
    jobs = compose_jobs(read_overrides([*(SIZES | given).values()]))
    return [obstacle(make_cell(job.config)) for job in jobs]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["weights=int8", "model.d_ff=64,100"], "d_ff = 100: it takes widths that are multiples of 16"),
        (["weights=bf16", "model.d_model=64,65"], "d_model = 65: it takes widths that are multiples of 2"),
    ],
)  # fmt: skip
def test_narrow_weights_of_a_width_that_their_kernel_does_not_take(arguments, told):
    possible, ruled_out = obstacles(*arguments)
    assert possible == ""
    assert ruled_out.startswith(f"{arguments[0]} is not allowed with {told}")


def test_int8_panels_take_any_width_and_other_kernels_take_no_int8(monkeypatch):
    monkeypatch.setattr(packing, "why_unavailable", lambda: "")
    assert obstacles("weights=int8", "linear=panel,onednn", "model.d_ff=33") == [
        "",
        "linear=onednn is not allowed with weights=int8, which has a kernel of its own; leave linear out, or give "
        "linear=panel",
    ]
    assert obstacles("weights=bf16", "linear=panel")[0].endswith("which has a kernel of its own; leave linear out")


def test_narrow_weights_on_a_gpu_where_torch_is_kept_from_compiling(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    assert obstacles("weights=int8", "device=cpu,cuda") == [
        "",
        "weights=int8 on cuda needs torch's compiler: TORCHDYNAMO_DISABLE=1 keeps torch from compiling; unset it, or "
        "give weights=bf16",
    ]


def test_a_kernel_of_float32_with_another_type():
    assert obstacles("linear=mkl,transposed", "dtype=bf16") == [
        "linear=mkl takes float32 weights, not torch.bfloat16; give linear=torch, or dtype=fp32", "",
    ]  # fmt: skip


def test_lengths_that_nobody_gave_and_that_the_model_has_no_positions_for_name_the_key_of_both():
    short = ["model.src_positions=48", "model.tgt_positions=40", "model.prefix_ids=[5,6]"]
    assert obstacles("seq_len=38,64", *short) == [
        "", "seq_len=64 lies beyond the positions of the model; give seq_len=38 or less",
    ]  # fmt: skip
    assert obstacles("src_len=64", "tgt_len=65", *short) == [
        "src_len=64 lies beyond the model's 48 positions and tgt_len=65, after 2 tokens of a prefix, lies beyond the "
        "model's 40 positions; give src_len=48 tgt_len=38 or less"
    ]


def test_a_sentence_of_more_tokens_than_positions_is_named_by_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids").write_text("5 6\n5 6 7 8 9\n")
    assert obstacles("src_ids=ids", "model.src_positions=4,5") == [
        "src_ids: line 2 holds 5 tokens, beyond the model's 4 positions; shorten it, or split it", "",
    ]  # fmt: skip
