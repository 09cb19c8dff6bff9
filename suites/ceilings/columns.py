"""A cell's ceilings as columns of a table, for its readers: they know tables only."""

from __future__ import annotations

from .floor import Ceilings

CEILINGS = [
    "ceiling_read_gb_per_s", "ceiling_read_low_gb_per_s", "ceiling_read_high_gb_per_s", "ceiling_copy_gb_per_s",
    "ceiling_gemm_gflops_per_s", "ceiling_gemm_low_gflops_per_s", "ceiling_gemm_high_gflops_per_s", "last_cache_bytes",
]  # fmt: skip
"""Medians, least and most over the counted calibrations of a cell, in 1e9 bytes and FLOPs a second. GEMM: of the faster
of the cell's type and fp32. NaN in folders of earlier versions."""


def roof(ceilings: Ceilings) -> dict[str, float]:
    """The columns CEILINGS of a cell."""
    read, gemm = ceilings.read_bytes_per_s, ceilings.flops_per_s
    speeds = (read.median, read.low, read.high, ceilings.copy_bytes_per_s.median, gemm.median, gemm.low, gemm.high)
    return dict(zip(CEILINGS, [*(speed * 1e-9 for speed in speeds), ceilings.cache_bytes], strict=True))
