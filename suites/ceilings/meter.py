"""Measurement of the machine's ceilings, once or repeatedly with the same buffer."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..timing.clock import clocks
from .cache import last_cache_bytes
from .kernels import Buffer, Kernel, best_rate, gemm_kernel, gemm_size, memory_kernels


class Meter:
    """Measures the ceilings of one device with torch's current number of threads.

    Reads are of float32; products are measured in each of ``dtypes``.
    """

    def __init__(self, device: str, dtypes: Iterable[str] = ("fp32",)) -> None:
        """Allocate the buffers on ``device``. Raises MemoryError or torch's own error if there is too little memory."""
        threads = torch.get_num_threads()
        self.cache_bytes = last_cache_bytes(device, threads)
        buffer = Buffer(device, self.cache_bytes, threads)
        self.buffer_bytes = buffer.nbytes
        sizes = {dtype: gemm_size(device, dtype, threads) for dtype in dtypes}
        self.kernels: list[Kernel] = [
            *memory_kernels(buffer, device),
            *(gemm_kernel(device, dtype, size) for dtype, size in sizes.items()),
        ]
        self._clock = clocks(device)[0]

    def measure(self) -> dict[str, float]:
        """Map each kernel's name to its bytes or FLOPs per second, the best of a few runs; about 0.1 s on one core."""
        return {kernel.name: best_rate(kernel, self._clock) for kernel in self.kernels}
