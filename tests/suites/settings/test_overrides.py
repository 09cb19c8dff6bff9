"""What the command line says, as Hydra and the cases get it: text stays text, and what goes together is kept."""

import dataclasses
import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies import config_of, parse
from suites.measuring.equality import TOLERANCE
from suites.settings.cells import make_cell
from suites.settings.config import ConfigError
from suites.settings.inputs import make_inputs
from suites.settings.obstacles import obstacle
from suites.settings.overrides import compose_jobs, read_overrides
from suites.settings.quoting import typed
from suites.settings.sources import pad_id, read_ids
from suites.telling.beforehand import told

from ...command import SMALL_MODEL, suites

WRITTEN = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="$")).filter(str.strip)


def cells(*arguments):
    return [make_cell(job.config) for job in compose_jobs(read_overrides(list(arguments)))]


def test_nothing_given_is_the_default_case():
    overrides = read_overrides([])
    assert (overrides.arguments, overrides.keys, overrides.show_only) == ([], [], False)
    assert len(compose_jobs(overrides)) == 1


@given(WRITTEN)
def test_a_value_that_is_quoted_as_messages_say_is_read_back(text):
    (argument,) = shlex.split(typed("model.name", text))
    assert read_overrides([argument]).typed["model.name"].values == [text]


@pytest.mark.parametrize("name", ["1e5", "007", "true", "1_000", "0x10", ".5", "nan"])
def test_text_that_looks_like_a_number_stays_text(name):
    assert [cell.model.name for cell in cells("model=tiny", f"model.name={name},other")] == [name, "other"]
    assert read_overrides([f"hydra.run.dir={name}"]).run_dir == Path(name).absolute()


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(read_overrides(["hydra.run.dir='~/runs'"]).run_dir) == "/home/someone/runs"


def test_a_plus_before_a_known_key_means_nothing():
    assert [cell.src_len for cell in cells("+seq_len=8", "++model=tiny")] == [8]


@pytest.mark.parametrize(
    "arguments",
    [
        ["seq_len=8", "src_len=9", "tgt_len=7"],
        ["model=pronounce,tiny", "model.d_ff=64"],
        ["measure=careful", "measure.rounds_max=50"],
        ["+sweep=seq_len", "seq_len=4,8"],
        ["+sweep=grid", "seq_len=8"],
        ["hydra.run.dir=A", "hydra.sweep.dir=A"],
        ["execution=compiled", "strategies=[full_recompute,static_kv]"],
        ["model.relative_buckets=8", "model=transformer2017,tiny"],
    ],
    ids=" ".join,
)
def test_a_key_that_affects_some_case_or_that_a_more_specific_one_replaces_is_allowed(arguments):
    assert cells(*arguments)


def test_a_size_is_in_the_names_of_the_models_that_it_affects():
    names = [cell.model.name for cell in cells("model=pronounce,tiny", "model.d_ff=64")]
    assert names == ["pronounce", "t5-tiny(d_ff=64)"]


def test_loops_of_one_row_are_impossible_for_two_rows_alone():
    strategies = [parse("static_kv(execution=compiled,read=bucket)")]
    found = [obstacle(cell, strategies) for cell in cells("linear=fused", "batch_size=1,2")]
    assert found == ["", "linear=fused has no effect with batch_size=2; give batch_size=1, or leave linear out"]


@pytest.mark.parametrize(
    ("asked", "reasons"),
    [
        (
            ["linear=torch,transposed,auto"],
            [
                "",
                "",
                "linear=auto chooses on the CPU alone, not on cuda, where its probe would time launches instead of "
                "kernels; give linear=torch or linear=transposed",
            ],
        ),
        (["linear=mkl"], ["linear=mkl runs on the CPU alone, not on cuda; give linear=torch or linear=transposed"]),
        (
            ["weights=int8", "batch_size=1,8"],
            [
                "",
                "weights=int8 is not allowed with batch_size=8 on CUDA, where its product is fast for one row alone; "
                "give batch_size=1, or weights=bf16",
            ],
        ),
        (["weights=bf16", "batch_size=1,8"], ["", ""]),
    ],
    ids=lambda value: " ".join(value)[:30],
)
def test_what_a_gpu_has_no_fast_kernel_for_is_impossible_there_and_possible_on_the_cpu(monkeypatch, asked, reasons):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    strategies = [parse("static_kv")]
    for device, expected in (("cuda", reasons), ("cpu", [""] * len(reasons))):
        assert [obstacle(cell, strategies) for cell in cells(f"device={device}", *asked)] == expected


def test_a_combination_that_is_impossible_in_some_cells_is_a_skipped_row_there(tmp_path):
    asked = [*SMALL_MODEL, "model.num_kv_heads=1,3", "strategies=[static_kv]", "seq_len=4", "measure=quick"]
    suites("run", *asked, "hydra.run.dir=run", folder=tmp_path, check=True)
    rows = pd.read_csv(tmp_path / "run" / "table.csv").set_index("model")
    assert list(rows["status"]) == ["ok", "skipped"]
    assert rows["reason"].iloc[1] == "num_kv_heads=3 does not divide num_heads=2; give one of 1, 2"


def test_pads_at_the_ends_of_lines_are_the_mask_and_told(tmp_path):
    file = tmp_path / "ids"
    file.write_bytes(b"\xef\xbb\xbf3, 4 0 5 0 0\r\n6 7 0 0 0 0\r\n8 9 9 9 9\r\n")
    (job,) = compose_jobs(read_overrides(["model=tiny", "model.vocab_size=10", f"src_ids='{file}'", "device=cpu"]))
    cell = make_cell(job.config)
    assert cell.src_ids == ((3, 4, 0, 5), (6, 7), (8, 9, 9, 9, 9))
    assert (cell.batch_size, cell.src_len) == (3, 5)
    assert obstacle(cell) == ""
    inputs = make_inputs(cell, config_of(cell.model))
    assert inputs.src_mask_BS.sum(1).tolist() == [4, 2, 5]
    (line,) = told([job.config, job.config])
    assert line.endswith("2 of 3 lines end in the pad id 0, which is masked and not decoded as a token")
    assert pad_id(dataclasses.replace(cell.model, shape=(("pad_id", 2),))) == 2
    file.write_text("1 2\n3 4\n")
    assert read_ids(str(file)) == ((1, 2), (3, 4))
    assert told([job.config]) == []


def test_ids_are_what_they_were_before_a_key_was_added_that_is_at_its_default():
    """The ids of reference runs that earlier versions measured."""
    keys = "model=small", "seq_len=16"
    (plain, math), (cuda,) = (
        cells(*keys, "device=cpu", "threads=2", "attention=auto,math"),
        cells(*keys, "device=cuda", "threads=16", "dtype=bf16"),
    )
    assert plain.id == "t5-small_b1_s16_t16_cpu_fp32_8567590d"
    assert cuda.id == "t5-small_b1_s16_t16_cuda_bf16_960a1a6b"
    assert math.id != plain.id
    assert (plain.title, math.title) == (
        "t5-small cpu batch 1, 16 -> 16 tokens",
        "t5-small cpu attention=math batch 1, 16 -> 16 tokens",
    )


def test_tf32_is_a_setting_of_float32_cells_on_cuda_alone():
    found = cells("device=cpu,cuda", "dtype=fp32,bf16", "tf32=true")
    assert [(cell.device, cell.dtype, cell.tf32, cell.rounding) for cell in found] == [
        ("cpu", "fp32", False, "fp32"),
        ("cpu", "bf16", False, "bf16"),
        ("cuda", "fp32", True, "tf32"),
        ("cuda", "bf16", False, "bf16"),
    ]
    assert found[2].product_dtype == "fp32"
    assert TOLERANCE[found[2].rounding] == TOLERANCE["fp16"], "both keep ten bits behind the point"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["tf32=true", "device=cpu"], "tf32=true has no effect with device=cpu, as TensorFloat-32"),
        (["tf32=true", "device=cuda", "dtype=bf16"], "has no effect with dtype=bf16, as it is about float32"),
        (
            ["tf32=true", "device=cuda", "weights=int8"],
            "has no effect with weights=int8, whose products",
        ),
    ],
)
def test_tf32_is_refused_where_it_changes_nothing(arguments, why):
    with pytest.raises(ConfigError, match=why):
        cells(*arguments)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["device=cpu", "attention=efficient"],
            "attention=efficient is a kernel of CUDA devices alone",
        ),
        (["device=cpu", "attention=math"], ""),
        (["device=cuda", "attention=flash"], "attention=flash takes no float32 on CUDA; give dtype=bf16 or fp16"),
        (
            ["device=cuda", "attention=flash", "dtype=bf16"],
            "attention=flash takes no bias on CUDA, and relative positions add one",
        ),
        (["device=cuda", "attention=flash", "dtype=bf16", "model=transformer2017"], ""),
        (["device=cuda", "attention=cudnn", "dtype=fp16"], ""),
        (["device=cuda", "attention=efficient"], ""),
    ],
)
def test_a_kernel_that_no_attention_of_the_cell_could_use_is_an_obstacle(monkeypatch, arguments, why):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (cell,) = cells(*arguments, *([] if "model=" in arguments[-1] else ["model=small"]))
    found = obstacle(cell)
    assert found.startswith(why)
    assert bool(found) == bool(why)
