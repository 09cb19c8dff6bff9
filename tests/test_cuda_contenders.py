"""Contenders on a CUDA device; skipped with the reason where there is none."""

import importlib.util
import math

import pytest
import torch

from suites.store.cell_folder import read_cells
from suites.store.records import crossed_label
from suites.tables.case_table import case_table
from tests.command import suites

TRANSFORMERS = ["transformers_dynamic", "transformers_no_cache", "transformers_static", "transformers_static_compiled"]
CTRANSLATE2 = ["ctranslate2_float32", "ctranslate2_half", "ctranslate2_int8"]
OURS = ["full_recompute", "static_kv"]
SIZES = {"vocab_size": 61, "d_model": 64, "num_heads": 2, "d_kv": 32, "d_ff": 128, "encoder_layers": 1,
         "decoder_layers": 1}  # fmt: skip
MODEL = ["model=small", "model.name=sliver", *(f"model.{name}={size}" for name, size in SIZES.items())]
STEPS = 9

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    pytest.mark.skipif(
        importlib.util.find_spec("transformers") is None,
        reason="needs the contenders: pip install 'decodebench[peers]'",
    ),
]


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def measured(request, tmp_path_factory):
    """(the cell as measured, its rows by label): all contenders, and the baseline repeated in a child process."""
    installed = CTRANSLATE2 if importlib.util.find_spec("ctranslate2") else []
    folder = tmp_path_factory.mktemp(request.param)
    suites(
        "run", "device=cuda", f"dtype={request.param}", *MODEL, f"seq_len={STEPS}", "batch_size=2", "measure=quick",
        "measure.aa=true", f"strategies=[{','.join(OURS)}]", f"contenders=[{','.join([*TRANSFORMERS, *installed])}]",
        "hydra.run.dir=a", folder=folder,
    )  # fmt: skip
    (cell,) = read_cells(folder / "a")
    return cell, case_table([cell]).set_index("strategy")


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_gives_the_oracle_s_tokens(measured, name):
    """Its tokens are judged before it is timed; in bfloat16 another of several best tokens is none the worse."""
    cell, table = measured
    assert table.loc[name, "status"] == "ok", table.loc[name, "reason"]
    if cell.cell["dtype"] == "fp32":
        assert table.loc[name, "tokens_equal"] == "yes"


@pytest.mark.parametrize("name", [*TRANSFORMERS, *OURS, crossed_label("full_recompute")])
def test_every_round_is_of_both_kinds_and_its_marks_ascend(measured, name):
    cell, _ = measured
    rounds = [done for done in cell.rounds if done.strategy == name]
    kinds = sorted((done.index, done.every_step) for done in rounds)
    indices = {done.index for done in cell.rounds if done.strategy == "static_kv"}
    assert kinds == sorted((index, every_step) for index in indices for every_step in (False, True))
    for done in rounds:
        assert len(done.marks_s) == (STEPS + 2 if done.every_step else 4)
        assert done.marks_s == sorted(set(done.marks_s))


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_its_peak_memory_is_known_where_its_steps_are_not_compiled(measured, name):
    _, table = measured
    assert (table.loc[name, "peak_memory_bytes"] > 0) == (name != "transformers_static_compiled")


def test_ctranslate2_is_measured_or_says_what_it_lacks(measured):
    _, table = measured
    for name in table.index.intersection(CTRANSLATE2):
        status, reason = table.loc[name, ["status", "reason"]]
        assert status in ("ok", "skipped"), reason
        if status == "skipped":
            assert reason.startswith(("CTranslate2", "on cuda it is given"))


def test_the_baseline_was_repeated_in_a_child_process(measured):
    cell, table = measured
    assert cell.conditions.crossed_reason == ""
    assert not math.isnan(table.loc["full_recompute", "crossed_floor"])


def test_float16_is_decoded_too(tmp_path):
    """With T5's ``wo`` in float32, there and here."""
    suites(
        "run", "device=cuda", "dtype=fp16", *MODEL, f"seq_len={STEPS}", "measure=quick", "strategies=static_kv",
        "contenders=transformers_dynamic", "hydra.run.dir=a", folder=tmp_path, check=True,
    )  # fmt: skip
    assert set(case_table(read_cells(tmp_path / "a"))["status"]) == {"ok"}
