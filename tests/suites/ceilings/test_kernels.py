"""The kernels, the buffer that they read and the meter of both do what they claim."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from strategies import DTYPES
from suites.ceilings import kernels as kernels_module
from suites.ceilings.cache import last_cache_bytes
from suites.ceilings.floor import READS
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
    square_in,
)
from suites.ceilings.meter import Meter
from suites.measuring.calibration import Calibrator
from suites.timing.clock import clocks

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


@given(st.integers(0, 1 << 40))
def test_the_matrices_of_a_gpu_are_the_largest_that_fit(room):
    size = square_in(room)
    matrix = 4 * size**2
    assert size in (1024, 2048, 4096, 8192)
    assert size == 1024 or 2 * matrix <= room
    assert size == 8192 or 2 * 4 * matrix > room  # of twice the rows


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("free_gib", "rows"), [(80, 8192), (4, 8192), (3.9, 4096), (0.5, 2048)])
def test_a_gpu_multiplies_large_matrices_where_an_eighth_of_its_free_memory_holds_them(
    monkeypatch, free_gib, rows, dtype
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (int(free_gib * 1024 * MIB), 80 * 1024 * MIB))
    assert gemm_size.__wrapped__("cuda", dtype, 1) == rows


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


@pytest.mark.cuda
@needs_cuda
def test_on_cuda_runs_queue_behind_one_another_and_each_gap_is_a_kernels_own():
    kernel, clock = gemm_kernel("cuda", "fp32", 2048), clocks("cuda")[0]
    assert best_rate(kernel, clock) > 0
    marks_s = clock.marks_s()
    assert all(after > before for before, after in pairwise(marks_s))
    assert last_cache_bytes("cuda") > 0
