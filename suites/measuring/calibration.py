"""A small measurement of the machine itself, among the arms of a round: how fast it reads, copies and multiplies."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from ..ceilings.meter import Meter
from ..store.records import Calibration

SHARE = 0.02
"""Of the time of the rounds so far, what calibrations may take beyond the first few."""
AT_LEAST = 3


class Calibrator:
    """Measures the ceilings of ``device`` with the threads of the cell: reads, a copy, products in fp32 and ``dtype``.

    Streaming empties the caches, which would slow the arm that follows: so the weights, if they are smaller than the
    buffer, are read once after it, untimed.
    """

    def __init__(self, device: str, weights: Sequence[Tensor] = (), dtype: str = "fp32") -> None:
        """Allocates its buffers on ``device``. Raises MemoryError or torch's error if there is no room."""
        self._meter = Meter(device, dict.fromkeys(("fp32", dtype)))
        self._weights = list(weights) if sum(w.nbytes for w in weights) < self._meter.buffer_bytes else []
        self._counted, self._spent_s, self._cost_s = 0, 0.0, 0.0

    def due(self, rounds_s: float) -> bool:
        """Whether to calibrate in this round: in the first few, and then as long as it costs little of ``rounds_s``."""
        return self._counted < AT_LEAST or self._spent_s + self._cost_s <= SHARE * rounds_s

    @torch.no_grad()
    def measure(self, index: int, warmup: bool) -> Calibration:
        """One calibration, in bytes and FLOPs a second."""
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
