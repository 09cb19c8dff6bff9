"""Kernels whose best rates are the ceilings: reads of memory, a copy, and products of square matrices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import psutil
import torch
from torch import Tensor

from strategies import DTYPES
from strategies.models.kernels.native.panels import Arena

from ..machine.limits import memory_limit
from ..timing.clock import Clock, clocks

WINDOW_BYTES = {"cpu": 64 << 20, "cuda": 256 << 20}
"""Least number of bytes that one run reads: some milliseconds on one core."""
WINDOW_A_THREAD_BYTES, LARGEST_WINDOW_BYTES = 32 << 20, 512 << 20
LARGEST_BYTES = 1 << 30
CACHES = 8
"""Size of the buffer in last caches, where memory allows: each window has left the cache before it is read again.

Twice the cache would do if the cache dropped the oldest data first. An AMD EPYC keeps some of it: it read a buffer of 2
caches 10 to 20 % faster than one of 16 caches, and one of 8 caches up to 4 % faster than one of 16."""
SHARE_OF_MEMORY = 8
"""The buffer takes at most the available memory divided by this, and so do the square matrices on CUDA."""
ROW = 4096
"""Elements per row of the row-major matrix."""
COLUMNS = 512
"""Columns of the column-major matrix: as many as a small model's transposed LM head has."""
LARGEST_SQUARE, SMALLEST_SQUARE = 8192, 1024
"""Rows of the square matrices on CUDA, the most and the least: an H100 reaches its peak with the most alone."""
SMALL = 128
"""Rows of the square matrices in a type for which the processor has no units."""
SLOW = 4
"""Factor by which a type must be slower than fp32, on small matrices, to count as one without units."""
LONG_S = 0.05
"""Seconds after which a kernel is not run again."""
RUNS = 3
"""Greatest number of runs of a kernel per measurement."""


@dataclass(frozen=True)
class Kernel:
    """A kernel whose rate is measured.

    One run moves ``amount`` bytes where ``unit`` is "B/s", or does ``amount`` FLOPs where it is "FLOP/s".
    """

    name: str
    unit: str
    amount: int
    run: Callable[[], object]


class Buffer:
    """A buffer of float32 ones that is read one window at a time, in turn.

    All other windows are read between two reads of the same window, and so push it out of the caches.
    """

    def __init__(self, device: str, cache_bytes: int | None, threads: int) -> None:
        """Allocate the buffer. Raises MemoryError or torch's own error if there is too little memory."""
        if device == "cuda":
            available = torch.cuda.mem_get_info()[0]
        else:
            available = min(psutil.virtual_memory().available, memory_limit().amount)
        self.window_bytes, count = plan(device, cache_bytes or 0, threads, available // SHARE_OF_MEMORY)
        shape = count, self.window_bytes // 4
        if device == "cuda":
            windows = torch.empty(shape, device=device)
        else:  # in large pages, as the weights of linear=panel are: small ones are read at two thirds of the speed
            windows = Arena(math.prod(shape)).take(math.prod(shape)).view(shape)
        # Written to, because pages that never were are all one page, which stays in the caches.
        self._windows = windows.fill_(1)
        self._next = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all windows together."""
        return self._windows.nbytes

    def window(self) -> Tensor:
        """The next window in turn, float32 [window_bytes / 4]."""
        self._next = (self._next + 1) % len(self._windows)
        return self._windows[self._next]


def plan(device: str, cache_bytes: int, threads: int, room_bytes: int) -> tuple[int, int]:
    """Plan a buffer: (bytes per window, a power of two; number of windows).

    Raises MemoryError if not even one small window fits into ``room_bytes``.

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
    """Make the kernels that read or copy memory; each run moves one window of ``buffer``.

    "rows" and "columns" multiply a matrix, row-major or column-major, by a vector. "sum" adds up the elements. "copy"
    copies one half of the window onto the other; its bytes are those read and those written.
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
    """Make the kernel that multiplies two square matrices of ``size`` rows: 2 * size^3 FLOPs."""
    # The elements must differ: on equal ones a GPU draws less power and runs faster.
    matrix = torch.linspace(-1, 1, size * size, device=device).view(size, size).to(DTYPES[dtype])
    out = torch.empty_like(matrix)
    return Kernel(f"gemm_{dtype}", "FLOP/s", 2 * size**3, lambda: torch.mm(matrix, matrix, out=out))


def square_in(room_bytes: int) -> int:
    """Rows of the largest of CUDA's square matrices of which two in float32 fit into ``room_bytes``.

    It is ``SMALLEST_SQUARE`` where none fits.

    >>> [square_in(size << 20) for size in (512, 511, 128, 1)]
    [8192, 4096, 4096, 1024]
    """
    size = LARGEST_SQUARE
    while size > SMALLEST_SQUARE and 2 * 4 * size**2 > room_bytes:
        size //= 2
    return size


@lru_cache
def gemm_size(device: str, dtype: str, threads: int) -> int:
    """Rows of the square matrices: enough for every thread or for a GPU with room, few where ``dtype`` is slow.

    The result is kept, so that it stays the same for the whole process.

    >>> gemm_size("cpu", "fp32", 1), gemm_size("cpu", "fp32", 8)
    (512, 1024)
    """
    if device == "cuda":
        return square_in(torch.cuda.mem_get_info()[0] // SHARE_OF_MEMORY)
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
    """Bytes or FLOPs per second in the fastest of ``RUNS`` runs; no further run starts after ``LONG_S`` seconds."""
    clock.start()
    start = time.perf_counter()
    for _ in range(RUNS):
        kernel.run()
        clock.mark()
        if time.perf_counter() - start > LONG_S:
            break
    marks_s = clock.marks_s()
    return kernel.amount / min(after - before for before, after in pairwise(marks_s))
