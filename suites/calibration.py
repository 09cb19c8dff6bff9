"""A small measurement of the machine itself, among the arms of a round: how fast it reads memory and multiplies."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from .clock import clocks
from .results import Calibration

READ_BYTES = {"cpu": 64 << 20, "cuda": 256 << 20}
"""Larger than most last caches, and read in about 10 ms by one core."""
GEMM_SIZE = {"cpu": 512, "cuda": 2048}
"""Rows and columns of the fp32 matrices: some ms on one core."""
SHARE = 0.02
"""Of the time of the rounds so far, what calibrations may take beyond the first few."""
AT_LEAST = 3


class Calibrator:
    """Times a sum over ``READ_BYTES`` and a product of two fp32 matrices, with the threads of the cell.

    Streaming empties the caches, which would slow the arm that follows: so the weights, if they are smaller than the
    buffer, are read once after it, untimed.
    """

    def __init__(self, device: str, weights: Sequence[Tensor] = ()) -> None:
        """Allocates its buffers on ``device``. Raises torch's error if there is no room."""
        # ones, not empty: pages that were never written are all one page, which stays in the caches
        self._buffer = torch.ones(READ_BYTES[device] // 4, device=device)
        self._matrix = torch.ones(GEMM_SIZE[device], GEMM_SIZE[device], device=device) / GEMM_SIZE[device]
        self._weights = list(weights) if sum(w.nbytes for w in weights) < READ_BYTES[device] else []
        self._clock = clocks(device)[0]
        self._counted, self._spent_s, self._cost_s = 0, 0.0, 0.0

    def due(self, rounds_s: float) -> bool:
        """Whether to calibrate in this round: in the first few, and then as long as it costs little of ``rounds_s``."""
        return self._counted < AT_LEAST or self._spent_s + self._cost_s <= SHARE * rounds_s

    @torch.no_grad()
    def measure(self, index: int, warmup: bool) -> Calibration:
        """One calibration, in bytes and FLOPs a second."""
        start = time.perf_counter()
        self._clock.start()
        self._buffer.sum()
        self._clock.mark()
        self._matrix @ self._matrix
        self._clock.mark()
        _, read_s, both_s, *_ = self._clock.marks_s()
        for weight in self._weights:
            weight.sum()
        self._cost_s = time.perf_counter() - start
        self._spent_s += self._cost_s
        self._counted += not warmup
        flops = 2 * self._matrix.shape[0] ** 3
        return Calibration(index, warmup, self._buffer.nbytes / read_s, flops / (both_s - read_s))
