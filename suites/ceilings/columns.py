"""A cell's ceilings as columns of table.csv, so that readers of the table need no calibrations."""

from __future__ import annotations

from .floor import Ceilings

CEILINGS = [
    "ceiling_read_gb_per_s", "ceiling_read_low_gb_per_s", "ceiling_read_high_gb_per_s", "ceiling_copy_gb_per_s",
    "ceiling_gemm_gflops_per_s", "ceiling_gemm_low_gflops_per_s", "ceiling_gemm_high_gflops_per_s", "last_cache_bytes",
]  # fmt: skip
"""Columns of a cell's ceilings: median, least (low) and most (high) over its counted calibrations, in 1e9 bytes per
second and 1e9 FLOPs per second. The GEMM peak is that of the faster of the cell's type and fp32. The last column is the
size of the last cache in bytes. All are NaN in folders of earlier versions."""


def roof(ceilings: Ceilings) -> dict[str, float]:
    """Map the columns CEILINGS to their values for one cell."""
    read, gemm = ceilings.read_bytes_per_s, ceilings.flops_per_s
    speeds = (read.median, read.low, read.high, ceilings.copy_bytes_per_s.median, gemm.median, gemm.low, gemm.high)
    return dict(zip(CEILINGS, [*(speed * 1e-9 for speed in speeds), ceilings.cache_bytes], strict=True))
