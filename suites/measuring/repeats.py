"""The A/A arms of a cell: its baseline again in this process, and again in a child process as contenders run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from strategies import ModelConfig

from ..judging.baseline import baseline_of
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import Fault, contained
from .arms import Arm, StrategyArm
from .child_arms import ChildArm, ChildArms


@dataclass
class Repeats:
    """``arms``: those that repeat ``baseline``, ``twin`` here and ``crossed`` in a child; why one is not among them."""

    baseline: str = ""
    twin: Arm | None = None
    crossed: ChildArm | None = None
    twin_reason: str = ""
    crossed_reason: str = ""
    arms: list[Arm] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many of those that were asked for are not there."""
        return bool(self.twin_reason) + bool(self.crossed_reason)

    def lose_twin(self, fault: Fault) -> None:
        """It could not be made."""
        self.twin_reason = fault.located

    def lose_crossed(self, fault: Fault) -> None:
        """It could not be made."""
        self.crossed_reason = fault.located

    def drop(self, arm: Arm, reason: str) -> None:
        """One that failed in its rounds, or whose baseline did."""
        self.arms.remove(arm)
        if arm is self.twin:
            self.twin_reason = reason
        else:
            self.crossed_reason = reason


@contextmanager
def repeats(
    measure: MeasureConfig,
    arms: Sequence[Arm],
    cell: Cell,
    config: ModelConfig,
    src_ids: Sequence[Sequence[int]],
    children: ChildArms,
) -> Iterator[Repeats]:
    """What ``measure.aa`` asks for beside ``arms``. The child process, on the CPU alone, is ended on leaving."""
    baseline = next((arm for arm in arms if arm.label == baseline_of([arm.label for arm in arms])), None)
    found = Repeats()
    if measure.aa and baseline is None:
        found.twin_reason = "no strategy is left to be timed"
    elif measure.aa and baseline is not None:
        found.baseline = baseline.label
        with contained(found.lose_twin):
            found.twin = baseline.twin()
        # A contender is the baseline only where no strategy is left, and on CUDA none runs.
        if cell.linear == "auto":
            found.crossed_reason = "linear=auto may choose other kernels in another process; give linear=torch"
        elif cell.device == "cpu" and isinstance(baseline, StrategyArm):
            with contained(found.lose_crossed):
                seconds_max = measure.contender_seconds_max
                found.crossed = children.strategy(baseline.label, cell, config, src_ids, seconds_max)
        found.arms = [arm for arm in (found.twin, found.crossed) if arm is not None]
    try:
        yield found
    finally:
        if found.crossed is not None:
            found.crossed.close()
