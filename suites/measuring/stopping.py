"""When the rounds of a cell stop: a pure rule of their number, the width of the intervals, and the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ..judging.ratios import half_interval
from ..settings.config import MeasureConfig

StoppedBy = Literal["rounds", "precision", "rounds_max", "seconds_max"]


class HalfWidth:
    """Half the width of a paired ratio's 95 % confidence interval, as a share of the ratio.

    It is exp(t s / sqrt(n)) - 1, with Student's t and s, the standard deviation of the log ratios, at any number of
    rounds. Mean and sum of squares are kept up to date (Welford 1962), so that a round costs the same however many
    there were. The bootstrap that verdicts use besides, from 20 rounds on, costs milliseconds.
    """

    def __init__(self) -> None:
        self.rounds, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, times: Sequence[float], baseline: Sequence[float]) -> None:
        """Add rounds by their times in seconds, those of the arm and of the baseline in the same order."""
        for mine, base in zip(times, baseline, strict=True):
            log = math.log(mine / base)
            self.rounds += 1
            before = log - self._mean
            self._mean += before / self.rounds
            self._squares += before * (log - self._mean)

    @property
    def value(self) -> float:
        """The half width; NaN below two rounds."""
        if self.rounds < 2:
            return math.nan
        return math.expm1(half_interval(math.sqrt(self._squares / (self.rounds - 1)), self.rounds))


def stopped_by(measure: MeasureConfig, rounds: int, half_widths: Sequence[float], elapsed_s: float) -> StoppedBy | None:
    """Return what ends the counted rounds after ``rounds`` of them, None if nothing does yet.

    Without ``measure.precision``, or with nothing to compare, there are exactly ``measure.rounds``. With it,
    ``measure.rounds`` is the least number, whatever time it takes. Then rounds go on until every half width is at most
    ``measure.precision``, or there were ``measure.rounds_max``, or they took ``measure.seconds_max``.
    """
    if rounds < measure.rounds:
        return None
    if measure.precision is None or not half_widths:
        return "rounds"
    if all(width <= measure.precision for width in half_widths):
        return "precision"
    if rounds >= measure.rounds_max:
        return "rounds_max"
    return "seconds_max" if elapsed_s >= measure.seconds_max else None


def forecast(measure: MeasureConfig, rounds: int, half_widths: Sequence[float], elapsed_s: float) -> int:
    """Predict the total number of counted rounds, for the progress display.

    Half widths are taken to shrink with the square root of the number of rounds.
    """
    if measure.precision is None or rounds < measure.rounds or rounds < 2:
        return max(rounds, measure.rounds)
    widest = max((width for width in half_widths if not math.isnan(width)), default=0.0)
    needed = rounds * min((widest / measure.precision) ** 2, 1e6)
    in_time = rounds * measure.seconds_max / max(elapsed_s, 1e-9)
    return math.ceil(max(rounds + 1, min(needed, in_time, measure.rounds_max)))
