"""The A/A arms of a cell: its baseline repeated in this process, and in a child process such as contenders have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from strategies import ModelConfig

from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import Fault, contained
from ..settings.inputs import Source
from .arms import Arm, StrategyArm, baseline_among
from .child_arms import ChildArm, ChildArms
from .spoiled import answering


@dataclass
class Repeats:
    """The arms that repeat ``baseline``: ``twin`` in this process, ``crossed`` in a child process.

    ``arms`` holds those that are still timed. ``twin_reason`` and ``crossed_reason`` say why one is not among them.
    """

    baseline: str = ""
    twin: Arm | None = None
    crossed: ChildArm | None = None
    twin_reason: str = ""
    crossed_reason: str = ""
    arms: list[Arm] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Number of repeats that were asked for and could not be made or timed."""
        return bool(self.twin_reason) + bool(self.crossed_reason)

    def lose_twin(self, fault: Fault) -> None:
        """Note that the repeat in this process could not be made."""
        self.twin_reason = fault.located

    def lose_crossed(self, fault: Fault) -> None:
        """Note that the repeat in a child process could not be made."""
        self.crossed_reason = fault.located

    def drop(self, arm: Arm, reason: str) -> None:
        """Remove an arm that failed in its rounds, or whose baseline failed."""
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
    source: Source,
    children: ChildArms,
) -> Iterator[Repeats]:
    """Make the repeats that ``measure.aa`` asks for beside ``arms``; leaving the context ends the child process."""
    baseline = next((arm for arm in arms if arm.label == baseline_among(arms)), None)
    found = Repeats()
    if measure.aa and baseline is None:
        found.twin_reason = "no strategy is left to be timed"
    elif measure.aa and baseline is not None:
        found.baseline = baseline.label
        with contained(found.lose_twin), answering(baseline.label):
            found.twin = baseline.twin()
        if cell.linear == "auto":
            found.crossed_reason = "linear=auto may choose other kernels in another process; give linear=torch"
        elif isinstance(baseline, StrategyArm):  # a contender is the baseline only where no strategy is left
            with contained(found.lose_crossed):
                seconds_max = measure.contender_seconds_max
                found.crossed = children.strategy(baseline.label, cell, config, source, seconds_max)
        found.arms = [arm for arm in (found.twin, found.crossed) if arm is not None]
    try:
        yield found
    finally:
        if found.crossed is not None:
            found.crossed.close()
