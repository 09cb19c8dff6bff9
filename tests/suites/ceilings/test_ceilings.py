"""Ceilings of the machine and floors under a step: kernels do what they claim, and figures are those worked by hand."""

import json
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from strategies import DTYPES, ModelSpec, load_model, parse, select
from suites.ceilings import kernels as kernels_module
from suites.ceilings.cache import cpu_cache_bytes, last_cache_bytes, size_bytes
from suites.ceilings.columns import CEILINGS
from suites.ceilings.floor import READS, Ceilings, Spread, floor_s, resident_share
from suites.ceilings.kernels import (
    CACHES,
    COLUMNS,
    LARGEST_BYTES,
    ROW,
    SMALL,
    Buffer,
    best_rate,
    gemm_kernel,
    gemm_size,
    memory_kernels,
    plan,
)
from suites.ceilings.meter import Meter
from suites.contenders.running.lineup import Contenders
from suites.measuring.calibration import Calibrator
from suites.measuring.runner import run_cell
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.store.cell_folder import CellResult, CellWriter, read_cells
from suites.store.files import write_json
from suites.store.records import ArmResult, Calibration, Round
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.timing.clock import clocks
from suites.words.progress import Progress
from suites.work.formulas import formulas

MIB = 1 << 20
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, needs_cuda])]


class Operands(TorchDispatchMode):
    """Every tensor that an operator was given, and what it gave."""

    def __init__(self):
        super().__init__()
        self.seen, self.results = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.seen.append((function.overloadpacket.__name__, [a for a in args if isinstance(a, torch.Tensor)]))
            self.results.append(result)
        return result


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture
def memory(device):
    """(buffer, kernels by name)."""
    buffer = Buffer(device, None, 1)
    return buffer, {kernel.name: kernel for kernel in memory_kernels(buffer, device)}


def operands(kernel):
    """(operator, tensors, result) of the one operator that a run of it calls besides views."""
    with Operands() as mode:
        kernel.run()
    ((name, tensors),) = mode.seen
    return name, tensors, mode.results[0]


@pytest.mark.parametrize("name", READS)
def test_a_read_claims_the_bytes_of_the_one_large_operand_and_reads_each_of_them(memory, name):
    buffer, kernels = memory
    kernel = kernels[name]
    _, (large, *vectors), result = operands(kernel)
    assert kernel.unit == "B/s"
    assert kernel.amount == large.nbytes == buffer.window_bytes
    assert sum(vector.nbytes for vector in vectors) < 0.01 * kernel.amount
    assert float(result.double().sum()) == large.numel()  # of ones: none was left out


def test_the_matrices_lie_in_either_order(memory):
    _, kernels = memory
    rows, columns = (operands(kernels[name])[1][0] for name in ("rows", "columns"))
    assert (rows.shape[1], rows.stride()) == (ROW, (ROW, 1))
    assert (columns.shape[1], columns.stride()) == (COLUMNS, (1, len(columns)))


def test_a_copy_claims_what_it_reads_and_what_it_writes_and_they_are_apart(memory):
    _, kernels = memory
    name, (target, source), _ = operands(kernels["copy"])
    assert name == "copy_"
    assert kernels["copy"].amount == target.nbytes + source.nbytes
    assert abs(target.data_ptr() - source.data_ptr()) >= source.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_claims_the_flops_that_torch_counts(device, dtype):
    kernel = gemm_kernel(device, dtype, 96)
    with FlopCounterMode(display=False) as counter:
        kernel.run()
    assert kernel.amount == counter.get_total_flops() == 2 * 96**3
    _, (left, right), _ = operands(kernel)
    assert {left.dtype, right.dtype} == {DTYPES[dtype]}


def test_the_whole_buffer_lies_between_two_reads_of_a_window():
    buffer = Buffer("cpu", 10 * MIB, 1)
    places = [buffer.window().data_ptr() for _ in range(5)]
    assert buffer.nbytes == 2 * buffer.window_bytes == 128 * MIB
    assert places[0] == places[2] == places[4] != places[1] == places[3]


@given(st.integers(0, 1 << 32), st.integers(1, 256), st.integers(8 * MIB, 1 << 40), st.sampled_from(["cpu", "cuda"]))
def test_a_buffer_never_takes_more_than_its_room_and_misses_the_cache_where_it_can(cache, threads, room, device):
    window, count = plan(device, cache, threads, room)
    assert window.bit_count() == 1
    assert count >= 1
    assert window * count <= room
    assert window % (4 * ROW) == window % (4 * COLUMNS) == 0
    if window * count < CACHES * cache:
        assert window * (count + 1) > min(room, LARGEST_BYTES)


def test_without_room_there_is_a_memory_error():
    for room in (0, 4 * ROW * COLUMNS - 1):
        with pytest.raises(MemoryError, match="too few to measure bandwidth in"):
            plan("cpu", 0, 1, room)


@pytest.mark.parametrize(("rate", "rows"), [(1.0, 512), (0.3, 512), (0.2, SMALL)])
def test_a_type_without_units_is_multiplied_in_small_matrices(monkeypatch, rate, rows):
    monkeypatch.setattr(kernels_module, "best_rate", lambda kernel, clock: 1.0 if "fp32" in kernel.name else rate)
    assert gemm_size.__wrapped__("cpu", "bf16", 1) == rows
    assert gemm_size.__wrapped__("cpu", "fp32", 1) == 512


def test_a_kernel_that_is_slow_is_run_once(monkeypatch):
    monkeypatch.setattr(kernels_module, "LONG_S", 0.0)
    runs = []
    kernel = kernels_module.Kernel("slow", "B/s", 1, lambda: runs.append(1))
    assert best_rate(kernel, clocks("cpu")[0]) > 0
    assert len(runs) == 1


def test_the_best_of_several_runs_counts():
    class Scripted:
        every_step = True

        def start(self):
            self.marks = [0.0]

        def mark(self):
            self.marks.append(self.marks[-1] + (0.5, 0.25, 1.0)[len(self.marks) - 1])

        def marks_s(self):
            return self.marks

    assert best_rate(kernels_module.Kernel("any", "B/s", 10, lambda: None), Scripted()) == 10 / 0.25


def test_the_meter_measures_each_kernel_and_each_type_once(device):
    meter = Meter(device, ("fp32", "bf16"))
    rates = meter.measure()
    assert set(rates) == {*READS, "copy", "gemm_fp32", "gemm_bf16"}
    assert all(math.isfinite(rate) and rate > 0 for rate in rates.values())


def test_a_calibration_holds_every_kernel_and_the_sizes(device):
    calibrator = Calibrator(device, dtype="bf16")
    found = calibrator.measure(0, False)
    assert (found.read_bytes_per_s, found.gemm_flops_per_s) == (found.kernels["sum"], found.kernels["gemm_fp32"])
    assert set(found.kernels) == {*READS, "copy", "gemm_fp32", "gemm_bf16"}
    assert found.cache_bytes == last_cache_bytes(device, torch.get_num_threads())
    assert found.buffer_bytes >= 4 * ROW * COLUMNS


def cache(root, core, index, level, size, shared, kind="Unified"):
    folder = root / f"cpu{core}" / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, value in (("level", level), ("size", size), ("shared_cpu_list", shared), ("type", kind)):
        (folder / name).write_text(f"{value}\n")


def test_the_last_cache_is_counted_once_for_each_group_of_cores_that_threads_can_fill(tmp_path):
    for core in range(4):
        cache(tmp_path, core, 0, 1, "32K", core, "Data")
        cache(tmp_path, core, 1, 4, "64K", core, "Instruction")
        cache(tmp_path, core, 2, 2, "512K", core)
        cache(tmp_path, core, 3, 3, "32768K", "0-1" if core < 2 else "2-3")
    found = [cpu_cache_bytes(tmp_path, range(4), threads) for threads in (1, 2, 4)]
    assert found == [32 * MIB, 64 * MIB, 64 * MIB]
    assert cpu_cache_bytes(tmp_path, [0, 1], 2) == 32 * MIB
    assert cpu_cache_bytes(tmp_path, [9], 1) is None


def test_a_system_that_does_not_tell_its_cache_is_none(tmp_path):
    assert cpu_cache_bytes(tmp_path / "nowhere", [0], 1) is None
    cache(tmp_path, 0, 0, 3, "unknown", "0")
    assert cpu_cache_bytes(tmp_path, [0], 1) is None
    with pytest.raises(ValueError, match="invalid literal"):
        size_bytes("12Q")


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


@pytest.mark.cuda
@needs_cuda
def test_on_cuda_runs_queue_behind_one_another_and_each_gap_is_a_kernels_own():
    kernel, clock = gemm_kernel("cuda", "fp32", 2048), clocks("cuda")[0]
    assert best_rate(kernel, clock) > 0
    marks_s = clock.marks_s()
    assert all(after > before for before, after in pairwise(marks_s))
    assert last_cache_bytes("cuda") > 0
