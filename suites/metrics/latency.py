"""Metrics of time: TTFT, inter-token latency, time per output token, end to end."""

from __future__ import annotations

import statistics

from .metric import NAN, Case, TimedRound, metric


@metric("s", "lower", "encoder + cross-attention K/V where they are cached")
def prefill_s(case: Case, timed: TimedRound) -> float:
    """Prefill time: until the first decode step can start."""
    return timed.prefill_s


@metric("s", "lower", "time to first token: prefill + first decode step")
def ttft_s(case: Case, timed: TimedRound) -> float:
    """Time to first token (TTFT)."""
    return timed.ttft_s


@metric("s", "lower", "inter-token latency: median over the gaps between tokens")
def itl_s(case: Case, timed: TimedRound) -> float:
    """Inter-token latency (ITL)."""
    return statistics.median(timed.itl_s.tolist()) if timed.itl_s.size else NAN


@metric("s", "lower", "time per output token: (end to end - TTFT) / (steps - 1)")
def tpot_s(case: Case, timed: TimedRound) -> float:
    """Time per output token (TPOT)."""
    return (timed.e2e_s - timed.ttft_s) / (case.steps - 1) if case.steps > 1 else NAN


@metric("s", "lower", "end to end: prefill + every decode step")
def e2e_s(case: Case, timed: TimedRound) -> float:
    """End-to-end time of a round."""
    return timed.e2e_s


@metric("s", "lower", "allocation of the session's buffers, compilation and capture, once; not part of any other time")
def setup_s(case: Case) -> float:
    """Set-up time, which no other time includes."""
    return case.setup_s
