"""Metrics of how near a case comes to the machine's ceilings, as calibrations among the cell's rounds measured them."""

from __future__ import annotations

from .metric import NAN, Case, TimedRound, metric


@metric("ratio", "higher", "(weights + self K/V + cross K/V of all decode steps) / decode time / read bandwidth")
def mbu(case: Case, timed: TimedRound) -> float:
    """Memory bandwidth utilisation (MBU) of decoding; above 1 only where a cache serves the reads."""
    return _over(case.floor_bytes * case.steps, timed.decode_s, case.read_bytes_per_s)


@metric("ratio", "higher", "FLOPs of all decode steps / decode time / GEMM peak of the faster of dtype and fp32")
def mfu(case: Case, timed: TimedRound) -> float:
    """Model FLOPs utilisation (MFU) of decoding: by a strategy's executed FLOPs, a contender's necessary FLOPs."""
    return _over(case.floor_flops, timed.decode_s, case.peak_flops_per_s)


@metric("ratio", "higher", "(encoder weights + cross K/V where they are cached) / prefill time / read bandwidth")
def prefill_mbu(case: Case, timed: TimedRound) -> float:
    """Memory bandwidth utilisation (MBU) of prefill."""
    return _over(case.prefill_bytes, timed.prefill_s, case.read_bytes_per_s)


@metric("ratio", "higher", "FLOPs of prefill / prefill time / GEMM peak")
def prefill_mfu(case: Case, timed: TimedRound) -> float:
    """Model FLOPs utilisation (MFU) of prefill."""
    return _over(case.prefill_flops, timed.prefill_s, case.peak_flops_per_s)


@metric("s", "neither", "mean over decode steps of max((weights + K/V) / read bandwidth, FLOPs / GEMM peak)")
def floor_s(case: Case) -> float:
    """Floor: the least time that a step of this case can take; not reliable where cache_resident is above 0."""
    return case.floor_s


@metric("ratio", "higher", "floor_s / (decode time / steps): 1 is as fast as this machine allows")
def floor_fraction(case: Case, timed: TimedRound) -> float:
    """Floor over the measured time per step."""
    return case.floor_s * case.steps / timed.decode_s if timed.decode_s else NAN


@metric("ratio", "neither", "weights / (weights + self K/V + cross K/V), of the bytes that all decode steps must move")
def weight_share(case: Case) -> float:
    """Share of the floor's bytes that are weights, which all sentences of a batch share."""
    return case.floor_weight_bytes / case.floor_bytes if case.floor_bytes else NAN


@metric("s", "lower", "a decode step of the same layers and heads with width 8, batch 1: Python, dispatcher, launches")
def dispatch_s(case: Case) -> float:
    """Dispatch: the time that asking for a step's kernels takes, measured once per case."""
    return case.dispatch_s


@metric("ratio", "neither", "share of decode steps whose weights + K/V fit in the last cache: memory is no floor there")
def cache_resident(case: Case) -> float:
    """Share of steps that may be faster than the floor by bandwidth: 0 none, 1 every step."""
    return case.cache_resident


def _over(amount: float, time_s: float, per_s: float) -> float:
    return amount / time_s / per_s if time_s and per_s else NAN
