"""Admission turns the strategies of a cell into arms that may be timed.

A strategy is admitted if its session can be allocated and its logits agree with the oracle's. An approximate one need
not agree: its quality is measured instead. The probes pass over what is admitted (``probing``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from strategies import Strategy, StrategyError, parse
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.search.options import Greedy
from strategies.strategy import SHIPPED

from ..probes.finite import NotFiniteError
from ..settings.cells import Cell
from ..settings.faults import Fault, contained
from ..settings.inputs import Inputs
from ..store.records import COMPARED
from ..timing.clock import clocks
from ..words.progress import Progress
from .allocation import allocated
from .arms import StrategyArm
from .equality import TOLERANCE, Agreement, check
from .outcomes import Outcomes
from .probing import probed
from .quality import admitted
from .reference import Reference, is_low
from .spoiled import answering

ORACLE = "full_recompute"
STAND_IN = "static_kv"
"""Judges approximate strategies where no exact one is measured and full recompute cannot judge. It needs little room.
"""


class Admission:
    """Admission of the strategies of one cell.

    What is learned about an arm goes to ``outcomes``. An arm that fails at one stage does not reach the next.
    """

    def __init__(
        self,
        cell: Cell,
        model: EncoderDecoder,
        inputs: Inputs,
        outcomes: Outcomes,
        work: Mapping[str, int],
        progress: Progress,
        no_oracle: str = "",
        no_reference: str = "",
        no_stand_in: str = "",
    ) -> None:
        """``no_oracle`` says why full recompute cannot judge the others; it is "" if it can.

        ``no_reference`` says the same of the float32 reference of a cell in low precision, ``no_stand_in`` of
        ``STAND_IN``.
        """
        self._cell, self._model, self._inputs = cell, model, inputs
        self._outcomes, self._work, self._progress = outcomes, work, progress
        self._no_oracle, self._no_stand_in = no_oracle, no_stand_in
        self._why_no_oracle = f"{ORACLE} {no_oracle}" if no_oracle else ""
        self._why_no_judge = ""
        self._arms: list[StrategyArm] = []
        self._chooser: StrategyArm | None = None
        """An exact arm, whose choices are those of the search: the admitted one with the least work, if there is one.
        """
        self._in_low_precision = is_low(cell)
        self.no_reference = (no_reference or self._why_no_oracle) if self._in_low_precision else ""
        """Why strategies were not compared with float32, after ``arms``; "" if they were, and in cells in float32."""
        self.judged_by = ""
        """Label of the exact strategy by which approximate ones were judged, after ``arms``; "" if none was."""
        self.decided: dict[str, Any] = {}
        """Entries of cell.json about what the search chooses, after ``arms``; none under greedy search."""

    def arms(self, strategies: Sequence[Strategy]) -> list[StrategyArm]:
        """Return the arms that may be timed. Raises NotFiniteError if the oracle's logits are not finite."""
        self._allocate(strategies)
        approximate = [arm for arm in self._arms if not arm.strategy.exact]
        self._arms = [arm for arm in self._arms if arm.strategy.exact]
        self._compare()
        self._chooser = min(self._arms, key=lambda arm: self._work[arm.label], default=None)
        if approximate:
            self._approach(approximate)
        self._let_go()
        self._arms = probed(self._arms, self._cell, self._model, self._work, self._outcomes, self._progress)
        self._decide()
        return self._arms

    def oracle(self) -> StrategyArm:
        """Return the arm of full recompute: the admitted one, or a new one.

        Raises StrategyError if full recompute cannot judge.
        """
        mine = next((arm for arm in self._arms if arm.label == ORACLE), None)
        if mine is None and self._no_oracle:
            raise StrategyError(f"{ORACLE}, which judges the others, {self._no_oracle}")
        return mine or StrategyArm(parse(ORACLE), self._model, self._inputs, self._cell)

    def _allocate(self, strategies: Sequence[Strategy]) -> None:
        for strategy in strategies:
            with contained(partial(self._not_allocated, strategy.label)), answering(strategy.label):
                arm, ran = allocated(strategy, self._model, self._inputs, self._cell)
                self._outcomes.note(strategy.label, attention_ran=", ".join(sorted(ran)))
                self._arms.append(arm)

    def _not_allocated(self, label: str, fault: Fault) -> None:
        self._outcomes.fail(label, fault)
        if label == ORACLE and fault.status == "skipped":
            self._no_oracle = fault.reason
            self._lose_oracle(f"is skipped: {fault.reason}")

    def _compare(self) -> None:
        """Keep the arms whose logits agree with the oracle's, and in low precision with float32."""
        self._progress.say("equality")
        arms = {arm.label: arm for arm in sorted(self._arms, key=lambda arm: arm.label != ORACLE)}
        judges = list(arms) if ORACLE in arms or self._no_oracle or not arms else [ORACLE, *arms]
        rivals: list[StrategyArm] = []
        # Full recompute is the oracle. If it fails (it needs the most memory), the next strategy that works is.
        for label in judges:
            reference = self._reference() if label == ORACLE else None
            rivals = [arm for arm in self._arms if arm.label in self._outcomes.open()]
            found: list[Agreement] = []
            # Logits that are not finite say something about the model only if full recompute gives them.
            through = [NotFiniteError] if label == ORACLE else []
            with contained(partial(self._fail_oracle, label), *through), answering(label):
                judge = arms.get(label) or self.oracle()
                found = check(
                    judge,
                    rivals,
                    self._cell.rounding,
                    judge.search(),
                    fixed=self._cell.stop == "fixed",
                    advance=lambda arm: self._progress.advance(self._work.get(arm.label, 0) / self._cell.tgt_len),
                    reference=reference,
                )
                break
        else:
            self._arms = []
            return
        if reference and reference.reason:
            self.no_reference = reference.reason
        self._arms = []
        for arm, agreement in zip(rivals, found, strict=True):
            if label != ORACLE:
                by = "nothing" if arm.label == label else f"the logits of {label}"
                compared = f"{COMPARED} {by}, as {self._why_no_oracle}"
                arm.remark_on(compared, first=True)
            self._outcomes.note(arm.label, fp32_error_ratio=agreement.fp32_ratio)
            if math.isfinite(agreement.max_error) and (arm.label != label or label == ORACLE):
                self._outcomes.note(arm.label, max_logit_error=agreement.max_error)
            if agreement.fault:
                self._outcomes.fail(arm.label, agreement.fault)
            elif agreement.reason:
                is_own = type(arm.strategy).__module__ not in SHIPPED
                remedy = "; mend it, or declare exact = False if it is meant to be approximate" * is_own
                self._outcomes.settle(arm.label, "invalid", agreement.reason + remedy)
            else:
                self._arms.append(arm)

    def _approach(self, arms: Sequence[StrategyArm]) -> None:
        """Measure the quality of approximate arms beside an exact one, and admit them.

        An exact arm that was admitted judges them, the one with the least work, or else full recompute.
        """
        self._progress.say("quality")
        passed: list[StrategyArm] = []
        exact = sorted(self._arms, key=lambda arm: self._work[arm.label])
        others = [] if exact or self._why_no_oracle else [ORACLE]
        if not exact and not self._no_stand_in and STAND_IN not in self._outcomes:
            others.append(STAND_IN)
        for label in [*(arm.label for arm in exact), *others]:
            through = [NotFiniteError] if label == ORACLE else []
            with contained(partial(self._fail_judge, label), *through), answering(label):
                mine = next((arm for arm in exact if arm.label == label), None)
                judge = mine or StrategyArm(parse(label), self._model, self._inputs, self._cell)
                rivals = [arm for arm in arms if arm.label in self._outcomes.open()]
                passed = admitted(judge, rivals, self._cell, self._outcomes, self._advance)
                self._chooser, self.judged_by = judge, label
                break
        else:
            self._chooser = None
            no_room = f"{STAND_IN} {self._no_stand_in}" if self._no_stand_in else ""
            reasons = dict.fromkeys(filter(None, (self._why_no_oracle, self._why_no_judge or no_room)))
            why = f"no exact strategy could judge it: {'; '.join(reasons)}; add an exact one that has room"
            for arm in arms:
                if arm.label in self._outcomes.open():
                    self._outcomes.settle(arm.label, "failed", why)
        if self._why_no_oracle:
            for arm in passed:
                compared = f"{COMPARED} the logits of {label}, as {self._why_no_oracle}"
                arm.remark_on(compared, first=True)
        labels = self._outcomes.open()  # a judge that failed is not timed
        self._arms = sorted(
            (arm for arm in [*self._arms, *passed] if arm.label in labels), key=lambda arm: labels.index(arm.label)
        )

    def _advance(self, arm: StrategyArm, decodes: float) -> None:
        self._progress.advance(self._work.get(arm.label, 0) * decodes)

    def _reference(self) -> Reference | None:
        """The float32 reference of a cell in low precision; None without room for it, and in other cells."""
        if not self._in_low_precision or self.no_reference:
            return None
        with contained(self._lose_reference):
            return Reference(parse(ORACLE), self._model, self._inputs, self._cell)
        return None

    def _lose_reference(self, fault: Fault) -> None:
        self.no_reference = fault.located

    def _fail_oracle(self, label: str, fault: Fault) -> None:
        if label == ORACLE:
            self._lose_oracle(f"failed: {fault.located}")
        if label in self._outcomes:
            self._outcomes.fail(label, fault)

    def _fail_judge(self, label: str, fault: Fault) -> None:
        """Note that a judge of approximate strategies failed: without another, their reason names the last one."""
        self._why_no_judge = f"{label} failed: {fault.located}"
        self._fail_oracle(label, fault)

    def _lose_oracle(self, why: str) -> None:
        self._why_no_oracle = f"{ORACLE} {why}"
        if self._in_low_precision:
            self.no_reference = self._why_no_oracle

    def _let_go(self) -> None:
        """Give the memory of the float32 reference back to the device, and its work back where there was none."""
        if not self._in_low_precision:
            return
        if self._cell.device == "cuda":
            torch.cuda.empty_cache()
        if self.no_reference:
            self._progress.expect(-self._work.get(ORACLE, 0))

    def _decide(self) -> None:
        """Decode once, untimed, to tell what the search chooses: ties, and rows that continue another beam.

        Every exact arm that was admitted has the oracle's logits, so the one with the least work decodes.
        """
        arm, self._chooser = self._chooser, None
        if not self._arms or arm is None or isinstance(self._cell.search, Greedy):
            return
        with contained(partial(self._fail_oracle, arm.label)), answering(arm.label):
            searching = arm.search(TOLERANCE[self._cell.rounding])
            arm.decode(clocks(self._cell.device)[0], searching)
            self.decided = searching.told()
