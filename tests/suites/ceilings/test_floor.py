"""Ceilings of the machine and floors under a step: figures are those worked out by hand."""

import json
import math

import pytest

from strategies import DTYPES, ModelSpec, load_model, parse, select
from suites.ceilings.columns import CEILINGS
from suites.ceilings.floor import READS, Ceilings, Spread, floor_s, resident_share
from suites.contenders.running.lineup import Contenders
from suites.measuring.runner import run_cell
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.store.cell_folder import CellResult, CellWriter, read_cells
from suites.store.files import write_json
from suites.store.records import ArmResult, Calibration, Round
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.words.progress import Progress
from suites.work.formulas import formulas


def calibration(index, reads=(10.0, 30.0, 20.0), copy=9.0, warmup=False, cache_bytes=20, **gemms):
    gemms = {f"gemm_{name}": rate for name, rate in ({"fp32": 4.0} | gemms).items()}
    rates = dict(zip(READS, reads, strict=True)) | {"copy": copy} | gemms
    return Calibration(index, warmup, reads[2], gemms["gemm_fp32"], rates, cache_bytes, 64)


def test_ceilings_are_medians_of_the_fastest_reads_of_counted_calibrations():
    found = Ceilings.of(
        [
            calibration(-1, (900.0, 1.0, 1.0), warmup=True),
            calibration(0),
            calibration(1, (50.0, 1.0, 1.0), 11.0, fp32=6.0),
            calibration(2, (1.0, 2.0, 40.0)),
        ],
        "fp32",
    )
    assert found == Ceilings(Spread(40.0, 30.0, 50.0), Spread(9.0, 9.0, 11.0), Spread(4.0, 4.0, 6.0), 20.0)


@pytest.mark.parametrize(("rate", "peak"), [(0.5, 4.0), (32.0, 32.0)])
def test_the_peak_is_that_of_the_faster_of_the_type_and_fp32(rate, peak):
    assert Ceilings.of([calibration(0, bf16=rate)], "bf16").flops_per_s.median == peak


def test_without_kernels_nothing_is_known():
    for calibrations in ([], [Calibration(0, False, 1e9, 1e9)], [calibration(-1, warmup=True)]):
        found = Ceilings.of(calibrations, "fp32")
        assert math.isnan(found.read_bytes_per_s.median)
        assert math.isnan(floor_s([1], [1], found))
        assert math.isnan(resident_share([1], found.cache_bytes))
    assert math.isnan(floor_s([], [], Ceilings.of([calibration(0)], "fp32")))


CELL = {
    "model": {"name": "m"}, "device": "cpu", "dtype": "fp32", "threads": 1, "batch_size": 2, "src_len": 4, "tgt_len": 3,
    "stop": "fixed", "seed": 0,
}  # fmt: skip
FORMULAS = {
    "prefill_flops": 40, "prefill_bytes": 60, "step_flops": [2, 4, 6], "weight_bytes": [15, 15, 15],
    "self_kv_bytes": [0, 3, 6], "cross_kv_bytes": [3, 3, 3], "copy_bytes": [100, 100, 100],
}  # fmt: skip


def row(calibrations, formula=FORMULAS, steps=3):
    """Prefill 1 s, decoding 4 s."""
    arm = ArmResult("full_recompute", "ok", steps=steps, row_lens=[steps] * 2)
    rounds = [Round("full_recompute", i, False, True, [0.0, 1.0, 2.0, 3.0, 5.0][: steps + 2]) for i in range(2)]
    cell = {**CELL, "formulas": {"full_recompute": formula} if formula else {}}
    return case_table([CellResult("a", cell, [arm], rounds, calibrations)]).iloc[0]


def test_floor_and_utilizations_of_a_case_are_those_worked_out_by_hand():
    got = row([calibration(0)])  # reads 30 bytes/s, 4 FLOPs/s; a step moves 18, 21, 24 bytes
    steps_s = [max(18 / 30, 2 / 4), max(21 / 30, 4 / 4), max(24 / 30, 6 / 4)]
    by_hand = {
        "floor_s": sum(steps_s) / 3, "floor_fraction": sum(steps_s) / 4, "mbu": 63 / 4 / 30, "mfu": 12 / 4 / 4,
        "prefill_mbu": 60 / 1 / 30, "prefill_mfu": 40 / 1 / 4, "cache_resident": 1 / 3, "last_cache_bytes": 20,
        "ceiling_read_gb_per_s": 30e-9, "ceiling_copy_gb_per_s": 9e-9, "ceiling_gemm_gflops_per_s": 4e-9,
    }  # fmt: skip
    assert {name: got[name] for name in by_hand} == pytest.approx(by_hand)


def test_only_the_steps_that_were_taken_count():
    got = row([calibration(0)], steps=2)
    assert got["floor_s"] == pytest.approx((18 / 30 + 1) / 2)
    assert got["cache_resident"] == 0.5


NEW = ["mbu", "mfu", "prefill_mbu", "prefill_mfu", "floor_s", "floor_fraction"]


def test_what_is_not_known_is_empty():
    assert row([])[[*NEW, *CEILINGS]].isna().all()
    assert row([calibration(0)], formula=None)[[*NEW, "cache_resident"]].isna().all()
    assert math.isnan(row([calibration(0, cache_bytes=None)])["cache_resident"])
    before = {name: value for name, value in FORMULAS.items() if name != "prefill_bytes"}
    got = row([calibration(0)], formula=before)
    assert math.isnan(got["prefill_mbu"])
    assert got["mbu"] > 0


def test_a_folder_whose_calibrations_name_no_kernels_is_read_and_has_no_floor(tmp_path):
    writer = CellWriter(tmp_path, "a")
    writer.cell({**CELL, "formulas": {"full_recompute": FORMULAS}})
    old = {"kind": "calibration", "index": 0, "warmup": False, "read_bytes_per_s": 2e9, "gemm_flops_per_s": 3e9}
    (writer.dir / "rounds.jsonl").write_text(json.dumps(old) + "\n")
    writer.arms([ArmResult("full_recompute", "ok", steps=3)])
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": "a"}]})
    (result,) = read_cells(tmp_path)
    assert result.calibrations == [Calibration(0, False, 2e9, 3e9)]
    got = case_table([result]).iloc[0]
    assert got["calibration_read_gb_per_s"] == 2.0
    assert got[[*NEW, *CEILINGS]].isna().all()


def test_a_calibration_is_read_back_equal(tmp_path):
    writer = CellWriter(tmp_path, "a")
    writer.cell({**CELL, "formulas": {}})
    written = [calibration(0, bf16=1 / 3), calibration(1, cache_bytes=None)]
    for one in written:
        writer.round(one)
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": "a"}]})
    (result,) = read_cells(tmp_path)
    assert result.calibrations == written


SHAPE = {
    "architecture": "t5", "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 2,
    "decoder_layers": 3, "relative_buckets": 8,
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(("label", "cross"), [("static_kv", 1), ("static_kv(cross=recompute)", 0)])
def test_prefill_reads_the_encoders_weights_once_and_writes_the_cross_kv_that_are_cached(dtype, label, cross):
    cell = Cell(ModelSpec("tiny", "random", shape=tuple(sorted(SHAPE.items()))), 5, 4, 2, "cpu", dtype, 1, 0, "fixed")
    model = load_model(cell.model, DTYPES[dtype])
    weights = sum(
        w.nbytes for name, w in model.named_parameters() if w.dim() == 2 and name.startswith("encoder.layers")
    )
    width = DTYPES[dtype].itemsize
    kv = 3 * 2 * 3 * 5  # layers, K and V, heads and their size
    wanted = weights + cross * (kv * 14 * width + 2 * 5 * kv * width)  # the projection's weight, and its rows
    assert formulas(model.config, cell, parse(label)).prefill_bytes == wanted


def test_no_step_is_faster_than_its_floor_unless_its_bytes_are_cached(tmp_path):
    shape = {"vocab_size": 12000, "d_model": 1024, "num_heads": 2, "d_kv": 8, "d_ff": 64, "encoder_layers": 1}
    spec = ModelSpec("wide", "random", shape=tuple(sorted((shape | {"decoder_layers": 1}).items())))
    cell = Cell(spec, 4, 3, 1, "cpu", "fp32", 1, 0, "fixed")  # the LM head alone is 47 MiB
    run_cell(
        cell, select(["static_kv", "full_recompute"]), MeasureConfig(rounds=3), tmp_path, Progress(1, 1), Contenders()
    )
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": cell.id}]})
    table = case_table(read_cells(tmp_path))
    assert (table["status"] == "ok").all()
    assert (table[NEW] > 0).all().all()
    # By the fastest calibration of the cell, so that a load beside the others makes no difference.
    least = table["floor_fraction"] * (table["ceiling_read_gb_per_s"] / table["ceiling_read_high_gb_per_s"])
    assert ((least < 1.25) | (table["cache_resident"] > 0)).all()


def test_calibrations_of_a_run_measure_the_type_of_the_cell(tmp_path):
    cell = Cell(
        ModelSpec("sliver", "random", shape=tuple(sorted(SHAPE.items()))), 5, 4, 2, "cpu", "bf16", 1, 0, "fixed"
    )
    run_cell(cell, select(["static_kv"]), MeasureConfig(rounds=2), tmp_path, Progress(1, 1), Contenders())
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": cell.id}]})
    (result,) = read_cells(tmp_path)
    assert all({"gemm_fp32", "gemm_bf16"} <= set(one.kernels) for one in result.calibrations)
