"""From what calibrations measured to the least time that a step can take on this machine. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..store.records import Calibration

READS = ("rows", "columns", "sum")
"""Kernels that only read: the fastest of them is the read bandwidth."""


@dataclass(frozen=True)
class Spread:
    """A median, with the least and the most. NaN where nothing was measured."""

    median: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of any number of values.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0)
        """
        return cls(float(np.median(values)), min(values), max(values)) if values else cls()


@dataclass(frozen=True)
class Ceilings:
    """Of one cell, over its counted calibrations. Bytes and FLOPs a second; the last cache in bytes, NaN if not told.

    They are the calibrations nearest in time: those among the rounds of the same cell.
    """

    read_bytes_per_s: Spread = Spread()
    copy_bytes_per_s: Spread = Spread()
    flops_per_s: Spread = Spread()
    cache_bytes: float = math.nan

    @classmethod
    def of(cls, calibrations: Sequence[Calibration], dtype: str) -> Self:
        """NaN all through for folders of earlier versions, whose calibrations name no kernels.

        FLOPs are those of the faster of ``dtype`` and fp32: where a processor has no units for a type, kernels convert.
        """
        counted = [c for c in calibrations if not c.warmup and c.kernels]
        if not counted:
            return cls()
        gemms = ("gemm_fp32", f"gemm_{dtype}")
        cache_bytes = counted[-1].cache_bytes
        return cls(
            Spread.of([best(c.kernels, READS) for c in counted]),
            Spread.of([best(c.kernels, ["copy"]) for c in counted]),
            Spread.of([best(c.kernels, gemms) for c in counted]),
            math.nan if cache_bytes is None else float(cache_bytes),
        )


def best(kernels: dict[str, float], names: Sequence[str]) -> float:
    """The fastest of those that were measured; NaN if none was."""
    return max((kernels[name] for name in names if name in kernels), default=math.nan)


def floor_s(bytes_N: Sequence[float], flops_N: Sequence[float], ceilings: Ceilings) -> float:
    """Mean over steps of max(bytes / read bandwidth, FLOPs / GEMM peak); NaN without steps or ceilings.

    >>> floor_s([10, 30], [8, 8], Ceilings(Spread(10.0), flops_per_s=Spread(4.0)))
    2.5
    """
    if not len(bytes_N):
        return math.nan
    by_bytes_N = np.asarray(bytes_N, float) / ceilings.read_bytes_per_s.median
    return float(np.maximum(by_bytes_N, np.asarray(flops_N, float) / ceilings.flops_per_s.median).mean())


def resident_share(bytes_N: Sequence[float], cache_bytes: float) -> float:
    """Share of steps whose bytes fit in the last cache, which the next step can read from there. NaN: not known.

    >>> resident_share([10, 20, 30, 40], 20.0)
    0.5
    """
    if not len(bytes_N) or math.isnan(cache_bytes):
        return math.nan
    return float((np.asarray(bytes_N, float) <= cache_bytes).mean())
