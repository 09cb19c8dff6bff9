"""Metric of energy: joules per token, of a GPU."""

from __future__ import annotations

from .metric import NAN, Case, TimedRound, metric

LONG_ENOUGH_S = 1.0
"""Least length of a round whose energy counts, in seconds.

The driver's counter moves only every 20 to 100 ms, so either end of a round may be off by as much, which is up to a
tenth of a second.
"""


@metric("J/token", "lower", "energy of the whole GPU in a round of 1 s or more / real tokens of the whole batch")
def energy_j_per_token(case: Case, timed: TimedRound) -> float:
    """Energy per token, of the whole GPU: of all that works on it meanwhile, and of what it takes when idle."""
    return timed.energy_j / case.real_tokens if timed.e2e_s >= LONG_ENOUGH_S and case.real_tokens else NAN
