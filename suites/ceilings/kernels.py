"""The kernels whose best rates are the ceilings: reads of memory, a copy, and square products by element type."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import psutil
import torch
from torch import Tensor

from strategies import DTYPES

from ..machine.limits import memory_limit
from ..timing.clock import Clock, clocks

WINDOW_BYTES = {"cpu": 64 << 20, "cuda": 256 << 20}
"""What one run reads at least: some milliseconds of one core."""
WINDOW_A_THREAD_BYTES, LARGEST_WINDOW_BYTES = 32 << 20, 512 << 20
LARGEST_BYTES = 1 << 30
CACHES = 8
"""So many last caches large is the buffer, where that is possible: what is read was pushed out since it last was.

Twice the cache would do if that forgot the oldest first. An AMD EPYC keeps some: it read 2 caches 10 to 20 % faster
than 16, and 8 of them up to 4 % faster."""
SHARE_OF_MEMORY = 8
ROW = 4096
"""Elements of a row of the row-major matrix."""
COLUMNS = 512
"""Columns of the column-major one, as those of a small model's transposed LM head."""
SMALL = 128
"""Rows of the matrices of a type for which the processor has no units."""
SLOW = 4
"""Such a type is slower than fp32 by this factor, on small matrices."""
LONG_S = 0.05
"""A kernel that has taken so long is not run again."""
RUNS = 3


@dataclass(frozen=True)
class Kernel:
    """One kernel: a run of it moves so many bytes (``unit`` B/s), or does so many FLOPs (FLOP/s)."""

    name: str
    unit: str
    amount: int
    run: Callable[[], object]


class Buffer:
    """float32 ones, read a window at a time in turn, so that the whole of it lies between two reads of a window."""

    def __init__(self, device: str, cache_bytes: int | None, threads: int) -> None:
        """Allocates. Raises MemoryError or torch's error where there is no room."""
        if device == "cuda":
            available = torch.cuda.mem_get_info()[0]
        else:
            available = min(psutil.virtual_memory().available, memory_limit().amount)
        self.window_bytes, count = plan(device, cache_bytes or 0, threads, available // SHARE_OF_MEMORY)
        # ones, not empty: pages that were never written are all one page, which stays in the caches
        self._windows = torch.ones(count, self.window_bytes // 4, device=device)
        self._next = 0

    @property
    def nbytes(self) -> int:
        """All windows."""
        return self._windows.nbytes

    def window(self) -> Tensor:
        """The next one, float32 [window_bytes / 4]."""
        self._next = (self._next + 1) % len(self._windows)
        return self._windows[self._next]


def plan(device: str, cache_bytes: int, threads: int, room_bytes: int) -> tuple[int, int]:
    """(bytes of a window, a power of two; how many). Raises MemoryError where not even a small one fits the room.

    >>> [size >> 20 for size in plan("cpu", 33554432, 1, 1 << 32)], plan("cpu", 1 << 28, 1, 1 << 32)[1]
    ([64, 0], 16)
    """
    wanted = max(WINDOW_BYTES[device], min(WINDOW_A_THREAD_BYTES * threads, LARGEST_WINDOW_BYTES))
    window = 1 << (min(wanted, room_bytes).bit_length() - 1) if room_bytes > 0 else 0
    if window < 4 * ROW * COLUMNS:
        raise MemoryError(f"{room_bytes} bytes are too few to measure bandwidth in")
    needed = -(-CACHES * cache_bytes // window)
    return window, max(1, min(needed, LARGEST_BYTES // window, room_bytes // window))


def memory_kernels(buffer: Buffer, device: str) -> list[Kernel]:
    """rows, columns: a matrix in either storage order times a vector; sum; copy: half a window onto the other half.

    A copy's bytes are those read and those written.
    """
    elements = buffer.window_bytes // 4
    in_row, in_column = torch.ones(ROW, device=device), torch.ones(COLUMNS, device=device)
    out_row = torch.empty(elements // ROW, device=device)
    out_column = torch.empty(elements // COLUMNS, device=device)

    def copy() -> None:
        window = buffer.window()
        window[elements // 2 :].copy_(window[: elements // 2])

    runs: dict[str, Callable[[], object]] = {
        "rows": lambda: torch.mv(buffer.window().view(-1, ROW), in_row, out=out_row),
        "columns": lambda: torch.mv(buffer.window().view(COLUMNS, -1).t(), in_column, out=out_column),
        "sum": lambda: buffer.window().sum(),
        "copy": copy,
    }
    return [Kernel(name, "B/s", buffer.window_bytes, run) for name, run in runs.items()]


def gemm_kernel(device: str, dtype: str, size: int) -> Kernel:
    """A product of two square matrices of ``size`` rows: 2 * size^3 FLOPs."""
    # not all alike: a GPU draws less power, and runs faster, on those
    matrix = torch.linspace(-1, 1, size * size, device=device).view(size, size).to(DTYPES[dtype])
    out = torch.empty_like(matrix)
    return Kernel(f"gemm_{dtype}", "FLOP/s", 2 * size**3, lambda: torch.mm(matrix, matrix, out=out))


@lru_cache
def gemm_size(device: str, dtype: str, threads: int) -> int:
    """Rows of the matrices: enough for every thread, few where ``dtype`` is slow. The same for the whole process.

    >>> gemm_size("cpu", "fp32", 1), gemm_size("cpu", "fp32", 8)
    (512, 1024)
    """
    if device == "cuda":
        return 4096
    size = 512 if threads < 8 else 1024 if threads < 32 else 2048
    if dtype == "fp32":
        return size
    clock = clocks(device)[0]
    own, fp32 = (
        max(best_rate(kernel, clock) for _ in range(RUNS))
        for kernel in (gemm_kernel(device, one, SMALL) for one in (dtype, "fp32"))
    )
    return SMALL if own * SLOW < fp32 else size


@torch.no_grad()
def best_rate(kernel: Kernel, clock: Clock) -> float:
    """Bytes or FLOPs a second of the fastest of ``RUNS`` runs, or of fewer that are long."""
    clock.start()
    start = time.perf_counter()
    for _ in range(RUNS):
        kernel.run()
        clock.mark()
        if time.perf_counter() - start > LONG_S:
            break
    marks_s = clock.marks_s()
    return kernel.amount / min(after - before for before, after in pairwise(marks_s))
