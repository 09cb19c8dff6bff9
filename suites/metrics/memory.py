"""Bytes held."""

from __future__ import annotations

from .metric import Case, metric


@metric("bytes", "lower", "K/V memory that persists after the last step, self and cross, filled or not")
def kv_reserved_bytes(case: Case) -> float:
    """K/V reserved."""
    return case.kv_reserved_bytes


@metric("bytes", "lower", "the part of it that holds keys and values")
def kv_used_bytes(case: Case) -> float:
    """K/V used."""
    return case.kv_used_bytes


@metric(
    "bytes", "lower", "peak of live tensor bytes above the weights, in a round of its own (CUDA: the allocator's peak)"
)
def peak_memory_bytes(case: Case) -> float:
    """Peak memory."""
    return case.peak_memory_bytes


@metric("bytes", "neither", "resident memory of the whole process at the end, all strategies together: no comparison")
def rss_bytes(case: Case) -> float:
    """Process RSS."""
    return case.rss_bytes
