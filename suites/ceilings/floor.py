"""Floors: the least time that a step can take on this machine, from what calibrations measured. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..store.records import Calibration

READS = ("rows", "columns", "sum")
"""Kernels that only read memory. The rate of the fastest is the read bandwidth."""


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some values; all NaN where nothing was measured."""

    median: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Median, least and greatest of ``values``; NaN without values.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0)
        """
        return cls(float(np.median(values)), min(values), max(values)) if values else cls()


@dataclass(frozen=True)
class Ceilings:
    """Ceilings in one cell, from the counted calibrations among its own rounds, which are nearest in time.

    Rates are in bytes per second and FLOPs per second. ``cache_bytes`` is the size of the last cache, NaN where the
    system does not say.
    """

    read_bytes_per_s: Spread = Spread()
    copy_bytes_per_s: Spread = Spread()
    flops_per_s: Spread = Spread()
    cache_bytes: float = math.nan

    @classmethod
    def of(cls, calibrations: Sequence[Calibration], dtype: str) -> Self:
        """Compute the ceilings of a cell from its calibrations.

        The GEMM peak is that of the faster of ``dtype`` and fp32, since kernels convert to fp32 where a processor has
        no units for a type. Everything is NaN for folders of earlier versions, whose calibrations name no kernels.
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
    """The highest rate of the kernels ``names``; NaN if none of them was measured."""
    return max((kernels[name] for name in names if name in kernels), default=math.nan)


def floor_s(bytes_N: Sequence[float], flops_N: Sequence[float], ceilings: Ceilings) -> float:
    """Floor in seconds per step: the mean over N steps of max(bytes / read bandwidth, FLOPs / GEMM peak).

    NaN without steps or without ceilings.

    >>> floor_s([10, 30], [8, 8], Ceilings(Spread(10.0), flops_per_s=Spread(4.0)))
    2.5
    """
    if not len(bytes_N):
        return math.nan
    by_bytes_N = np.asarray(bytes_N, float) / ceilings.read_bytes_per_s.median
    return float(np.maximum(by_bytes_N, np.asarray(flops_N, float) / ceilings.flops_per_s.median).mean())


def resident_share(bytes_N: Sequence[float], cache_bytes: float) -> float:
    """Share of steps whose bytes fit in the last cache, so that the next step can read them from there.

    NaN without steps, or where the size of the cache is not known.

    >>> resident_share([10, 20, 30, 40], 20.0)
    0.5
    """
    if not len(bytes_N) or math.isnan(cache_bytes):
        return math.nan
    return float((np.asarray(bytes_N, float) <= cache_bytes).mean())
