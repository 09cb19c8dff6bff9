"""Metric of throughput: tokens per second."""

from __future__ import annotations

from .metric import Case, TimedRound, metric


@metric("tokens/s", "higher", "real tokens of the whole batch / end to end")
def throughput_tokens_per_s(case: Case, timed: TimedRound) -> float:
    """Throughput over all sentences of the batch."""
    return case.real_tokens / timed.e2e_s
