"""The rounds of a cell: every arm runs once in each, in shuffled order, until there are enough of them."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial

from ..machine.signals import finished_first, stop_if_requested, stop_requested
from ..settings.cells import Cell
from ..settings.config import ROUNDS_MIN, MeasureConfig
from ..settings.faults import Fault, contained
from ..store.cell_folder import CellWriter
from ..store.records import Conditions
from ..timing.clock import clocks
from ..timing.quiet import wait_until_quiet
from ..words.progress import Progress
from .arms import Arm, baseline_among, collector_set_aside
from .calibration import Calibrator
from .conditions import Watch
from .repeats import Repeats
from .spoiled import answering
from .stopping import HalfWidth, forecast, stopped_by

Fail = Callable[[str, Fault], None]


class Rounds:
    """Runs the rounds of a cell.

    ``work`` holds the predicted work of one round by label. ``fail`` is given label and fault of an arm that drops out.
    """

    def __init__(
        self,
        cell: Cell,
        arms: Sequence[Arm],
        measure: MeasureConfig,
        writer: CellWriter,
        progress: Progress,
        work: dict[str, int],
        fail: Fail,
        repeats: Repeats,
    ) -> None:
        self.arms = [*arms, *repeats.arms]
        self._measure, self._writer, self._progress, self._fail = measure, writer, progress, fail
        self._cell, self._order, self._clocks = cell, random.Random(cell.seed), clocks(cell.device)
        self._baseline = baseline_among(arms)
        self._repeats, self._repeated = repeats, list(repeats.arms)
        self._work = {**work, **{arm.label: work[repeats.baseline] for arm in repeats.arms}}
        self._calibrator = self._make_calibrator()
        self._times = {arm.label: array("d") for arm in self.arms}
        self._widths: dict[str, HalfWidth] = {}
        self._compared_with = self._baseline
        self._rounds_s, self._planned = 0.0, measure.rounds

    def _make_calibrator(self) -> Calibrator | None:
        """None if there is no room for its buffers, or nothing to time."""
        if not self.arms:
            return None
        try:
            weights = next((arm.weights for arm in self.arms if arm.weights), ())
            with answering(""):
                return Calibrator(self._cell.device, weights, self._cell.product_dtype)
        except (MemoryError, RuntimeError):
            return None

    def run(self) -> tuple[list[Arm], Conditions]:
        """Run all rounds. Return (the arms that came to the end, without A/A arms; the conditions of the rounds).

        Where a stop is asked for, the round in progress is the last one. Raises Stopped if there are too few by then.
        """
        watch = Watch(self._cell.device)
        with collector_set_aside(), finished_first():
            for index in range(-self._measure.warmup, 0):
                self._progress.say("warm-up")
                self._round(index, watch)
                watch.after_round()
                stop_if_requested()
            start, index, ended = time.monotonic(), 0, None
            while ended is None:
                self._progress.say(f"round {index + 1} of {self._planned}")
                self._round(index, watch)
                watch.after_round()
                index += 1
                ended = self._enough(index, time.monotonic() - start) or self._stopped(index)
        seen = watch.conditions(ended, self._repeats.twin_reason, self._repeats.crossed_reason)
        return [arm for arm in self.arms if arm not in self._repeated], seen

    def _round(self, index: int, watch: Watch) -> None:
        place = self._order.randrange(len(self.arms) + 1)
        for position, arm in enumerate([*self._order.sample(self.arms, len(self.arms)), None]):
            if position == place:
                self._calibrate(index)
            if arm is not None and arm in self.arms:
                self._arm(arm, index, watch)

    def _calibrate(self, index: int) -> None:
        if self._calibrator is None or not self._calibrator.due(self._rounds_s):
            return
        try:
            with answering(""):
                self._writer.round(self._calibrator.measure(index, index < 0))
        except RuntimeError:  # the device has no room for the buffers: the arms need it more
            self._calibrator = None

    def _arm(self, arm: Arm, index: int, watch: Watch) -> None:
        to_blame = self._repeats.baseline if arm in self._repeated else arm.label
        with contained(partial(self._lose, arm)), answering(to_blame):
            for clock in self._clocks:
                if self._cell.device == "cpu":
                    wait_until_quiet()  # the same rest before every arm, whichever process it runs in
                done = watch.of_arm(partial(arm.round, index, index < 0, clock))
                self._writer.round(done)
                self._rounds_s += done.marks_s[-1]
                if index >= 0 and clock is self._clocks[0]:  # on CUDA, the table uses the clock without step marks
                    self._times[arm.label].append(done.marks_s[-1])
                self._progress.advance(self._work[arm.label])

    def _lose(self, arm: Arm, fault: Fault) -> None:
        self.arms = [other for other in self.arms if other is not arm]
        if arm in self._repeats.arms:
            self._repeats.drop(arm, fault.located)
            return
        if arm.label == self._repeats.baseline:
            self._drop_repeats()
        self._fail(arm.label, fault)

    def _drop_repeats(self) -> None:
        """Drop the A/A arms: without their baseline there is nothing to compare them with."""
        for arm in list(self._repeats.arms):
            self._repeats.drop(arm, f"{self._repeats.baseline}, which it repeats, failed")
            self.arms.remove(arm)

    def _enough(self, rounds: int, elapsed_s: float) -> str | None:
        if not self.arms:
            return "rounds"
        widths = [] if self._measure.precision is None else self._half_widths()
        ended = stopped_by(self._measure, rounds, widths, elapsed_s)
        total = rounds if ended else forecast(self._measure, rounds, widths, elapsed_s)
        a_round = len(self._clocks) * sum(self._work[arm.label] for arm in self.arms)
        self._progress.expect((total - self._planned) * a_round)
        self._planned = total
        return ended

    def _stopped(self, rounds: int) -> str | None:
        """The reason why a stop was asked for, if any. Raises Stopped below the fewest rounds that may be asked for."""
        if rounds < ROUNDS_MIN:
            stop_if_requested()
        return stop_requested() or None

    def _half_widths(self) -> list[float]:
        """Half width of every arm's ratio to the baseline, or to the first arm left if the baseline dropped out."""
        times = {arm.label: self._times[arm.label] for arm in self.arms}
        baseline = self._baseline if self._baseline in times else baseline_among(self.arms)
        if baseline != self._compared_with:
            self._compared_with, self._widths = baseline, {}
        base = times.pop(baseline)
        # An arm that is left has run in every round so far, and so has the baseline: the two lists are paired.
        for label, mine in times.items():
            width = self._widths.setdefault(label, HalfWidth())
            width.add(mine[width.rounds :], base[width.rounds :])
        return [self._widths[label].value for label in times]
