"""What ``make bench`` requires of strategies: no slower than full recompute, and below a ceiling for each strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from suites.judging.ratios import Ratio
from suites.judging.verdict import Verdict, holm, verdict

MARGIN = 0.05
CEILINGS = {"cross_kv": 1.0, "contiguous_kv": 0.6, "static_kv": 0.65, "static_kv(read=buffer)": 0.65}
"""Strategy -> the ratio to full recompute at 64 tokens that it must not exceed with confidence.

The ceilings were reviewed. They are about one and a half times the ratios measured on a CPU (0.88, 0.39, 0.45, 0.45),
so that a doubled time is caught and noise is not."""


@dataclass(frozen=True)
class Pace:
    """The time of a strategy relative to full recompute, and its verdict."""

    strategy: str
    ratio: Ratio
    verdict: Verdict

    @property
    def ceiling(self) -> float:
        """The reviewed ceiling of the ratio."""
        return CEILINGS[self.strategy]

    @property
    def above(self) -> bool:
        """Whether the whole confidence interval lies above the ceiling."""
        return self.ratio.low > self.ceiling

    @property
    def interval(self) -> str:
        """The confidence interval as text."""
        return f"{self.ratio.low:.3f} to {self.ratio.high:.3f}"

    def row(self) -> list[str]:
        """The row of the table."""
        said = f"{self.verdict}, above its ceiling" if self.above else self.verdict
        return [self.strategy, f"{self.ratio.value:.3f}", self.interval, str(self.ceiling), said]

    def failure(self) -> str:
        """Why the strategy fails, or "". An undecided one passes."""
        held = [f"slower than full_recompute by more than {MARGIN:.0%}"] if self.verdict == "slower" else []
        held += [f"above its ceiling of {self.ceiling}"] if self.above else []
        return f"{self.strategy}: {self.ratio.value:.3f} ({self.interval}) is {' and '.join(held)}" if held else ""


def judge(ratios: Mapping[str, Ratio]) -> list[Pace]:
    """Return verdicts, with p-values adjusted over all strategies that were timed (Holm)."""
    adjusted = holm([ratio.p for ratio in ratios.values()])
    return [
        Pace(label, ratio, verdict(ratio, MARGIN, p))
        for (label, ratio), p in zip(ratios.items(), adjusted, strict=True)
    ]
