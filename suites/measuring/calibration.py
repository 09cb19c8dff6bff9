"""Calibration, a small measurement of the machine among the arms of a round: reads, a copy and products."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from ..ceilings.meter import Meter
from ..store.records import Calibration

SHARE = 0.02
"""Share of the time of all rounds so far that calibrations may take, after the first ``AT_LEAST``."""
AT_LEAST = 3


class Calibrator:
    """Measures the ceilings of ``device`` with the threads of the cell: reads, a copy, products in fp32 and ``dtype``.

    Streaming through a buffer empties the caches, which would slow the arm that follows. So the weights are read once
    afterwards, untimed, if they are smaller than the buffer.
    """

    def __init__(self, device: str, weights: Sequence[Tensor] = (), dtype: str = "fp32") -> None:
        """Allocate the buffers on ``device``. Raises MemoryError or torch's error if there is no room."""
        self._meter = Meter(device, dict.fromkeys(("fp32", dtype)))
        self._weights = list(weights) if sum(w.nbytes for w in weights) < self._meter.buffer_bytes else []
        self._counted, self._spent_s, self._cost_s = 0, 0.0, 0.0

    def due(self, rounds_s: float) -> bool:
        """Whether to calibrate in this round: always in the first few, later if it costs little of ``rounds_s``."""
        return self._counted < AT_LEAST or self._spent_s + self._cost_s <= SHARE * rounds_s

    @torch.no_grad()
    def measure(self, index: int, warmup: bool) -> Calibration:
        """Run one calibration, in bytes per second and FLOPs per second."""
        start = time.perf_counter()
        rates = self._meter.measure()
        for weight in self._weights:
            weight.sum()
        self._cost_s = time.perf_counter() - start
        self._spent_s += self._cost_s
        self._counted += not warmup
        return Calibration(
            index,
            warmup,
            read_bytes_per_s=rates["sum"],
            gemm_flops_per_s=rates["gemm_fp32"],
            kernels=rates,
            cache_bytes=self._meter.cache_bytes,
            buffer_bytes=self._meter.buffer_bytes,
        )
