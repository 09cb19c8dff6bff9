"""One cell measured from start to end: arms, equality, memory, rounds. Each result is written at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from strategies import ModelConfig, Strategy, config_of, parse
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.torch_settings import kept, set_defaults

from ..machine.environment import environment
from ..machine.limits import Limit
from ..machine.signals import INTERRUPTED, finished_first, stop_requested
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import Fault, SpoiledError, contained
from ..settings.obstacles import obstacle, why_skipped
from ..store.cell_folder import CellWriter
from ..store.records import ArmResult, Status
from ..words.progress import Progress
from ..work.capacity import device_memory, memory_given, why_too_large
from ..work.forecast import Forecast
from ..work.memory_fit import weight_bytes as predicted_weight_bytes
from ..work.memory_fit import why_no_room
from ..work.planning import contender_work, effort, timed_passes
from .admission import ORACLE, STAND_IN, Admission
from .arms import Arm, StrategyArm
from .cell_file import CellFile
from .child_arms import ChildArms, floors
from .extras import Extras
from .outcomes import Outcomes
from .prepared import Prepared
from .reference import why_no_reference
from .repeats import repeats
from .rounds import Rounds
from .spoiled import answering
from .spoken import can_be_spoken, is_spoken


def run_cell(
    cell: Cell,
    strategies: Sequence[Strategy],
    measure: MeasureConfig,
    run_dir: Path,
    progress: Progress,
    children: ChildArms,
    faults: Mapping[str, Fault] | None = None,
    folder: Path | None = None,
    noted: Mapping[str, Any] | None = None,
    spoken: bool = False,
) -> list[ArmResult]:
    """Measure strategies and contenders in one cell and write it to ``run_dir``; failures are rows with a reason.

    ``faults`` holds, by label, the faults of arms that are not to be measured: they ended an earlier process.
    ``folder`` is the cell's folder, by default that of its id in ``run_dir``. ``noted`` are further entries of
    cell.json. ``spoken``: count phoneme errors whatever the search (``spoken.is_spoken``).

    Raises SpoiledError once an arm has spoiled CUDA for this process. Its row is then written. The arms that the error
    names as left have to be measured anew, all of them together, since only times of one process can be paired.
    """
    writer = CellWriter(run_dir, cell.id, folder)
    return CellRun(cell, strategies, measure, writer, progress, children, faults or {}, noted or {}, spoken).run()


class CellRun:
    """Measures one cell. Its methods stand in the order in which they run."""

    def __init__(
        self,
        cell: Cell,
        strategies: Sequence[Strategy],
        measure: MeasureConfig,
        writer: CellWriter,
        progress: Progress,
        children: ChildArms,
        faults: Mapping[str, Fault],
        noted: Mapping[str, Any],
        spoken: bool = False,
    ) -> None:
        self._approximate = [strategy for strategy in strategies if not strategy.exact]
        self._spoken = spoken or is_spoken(cell) or (bool(self._approximate) and can_be_spoken(cell))
        self._cell, self._strategies, self._measure = cell, strategies, measure
        self._writer, self._progress, self._children, self._faults = writer, progress, children, faults
        executions = {s.label: s.execution for s in strategies} | dict.fromkeys(children.names)
        exact = {strategy.label: strategy.exact for strategy in strategies}
        self._outcomes = Outcomes(executions, writer.traceback, cell.id, exact)
        self._work: dict[str, int] = {}
        """Predicted work of one round, by label."""
        self._timed: list[Arm] = []
        """Arms whose rounds are complete."""
        self._file = CellFile(writer, cell, measure, list(executions), children.names, noted)

    def run(self) -> list[ArmResult]:
        """Run all stages. The outcome of each arm is written whatever happens."""
        outcomes = self._outcomes
        lost = self._faults.keys() >= set(outcomes.open())  # nothing is to be measured, so CUDA need not start
        with contained(outcomes.fail_open):  # where CUDA does not start, asking for the GPU fails
            self._writer.environment(environment(with_gpu=self._cell.device == "cuda" and not lost))
        for label in self._faults.keys() & set(outcomes.open()):
            outcomes.fail(label, self._faults[label])
        try:
            if outcomes.open():
                if self._cell.device == "cuda" and torch.cuda.is_available():
                    set_defaults()  # before settings are kept, so that they come back after the cell
                # Whatever is raised makes rows with a reason, and the sweep goes on.
                with kept(), contained(outcomes.fail_open), answering(""):
                    if reason := obstacle(self._cell, self._strategies, self._children.names):
                        outcomes.settle_open("skipped", reason)
                        self._progress.skip(self._cell.title, 0)
                    else:
                        self._measure_all()
        except SpoiledError as spoiled:
            self._settle(spoiled)
            raise
        except KeyboardInterrupt:
            self._note_finished()
            outcomes.settle_open("failed", stop_requested() or INTERRUPTED)
            raise
        finally:
            with finished_first():
                self._writer.arms(outcomes.all())
        return outcomes.all()

    def _settle(self, spoiled: SpoiledError) -> None:
        """Fail the arm that spoiled CUDA, or every open arm if it is none of them; note which arms are left."""
        if spoiled.label in ("", *self._faults):
            self._outcomes.fail_open(spoiled.fault)
        elif spoiled.label in self._outcomes:  # full recompute may judge without being asked for
            self._outcomes.fail(spoiled.label, spoiled.fault)
        spoiled.left = self._outcomes.open()

    @cached_property
    def _config(self) -> ModelConfig:
        return config_of(self._cell.model)

    @cached_property
    def _memory(self) -> Limit:
        return memory_given(self._measure.memory_gib, self._cell.device)

    def _measure_all(self) -> None:
        torch.set_num_threads(self._cell.threads)
        torch.manual_seed(self._cell.seed)
        self._file.begin(self._config, self._memory)
        reasons = why_no_room(self._config, self._cell, self._strategies, self._memory, padded=False)
        if all(reasons.values()):
            self._refuse(reasons)
            return
        with answering(""):
            prepared = self._prepare()
        self._drop_too_large(prepared.expected)
        admission = self._admission(prepared)
        arms = admission.arms([s for s in self._strategies if s.label in self._outcomes.open()])
        if admission.decided:
            self._file.write(**admission.decided)
        if admission.judged_by:
            self._file.write(judged_by=admission.judged_by)
        if admission.no_reference:
            self._file.write(fp32_reason=admission.no_reference)
        extras = Extras(self._cell, arms, self._file, self._outcomes, self._progress)
        if arms and self._spoken:
            extras.phoneme_errors(prepared.model, in_phrases=bool(self._approximate))
        whole = prepared.model
        if self._cell.weights and (arms or self._children.names):
            whole = extras.narrowing(self._config, prepared.inputs)
        if self._measure.rss and self._cell.device == "cpu":
            extras.resident_memory(
                self._config, prepared.inputs.data(), self._children, self._measure.contender_seconds_max
            )
        # Contenders are given the whole weights, and are judged by them.
        oracle = admission.oracle
        if whole is not prepared.model and ORACLE not in self._faults:
            oracle = partial(StrategyArm, parse(ORACLE), whole, prepared.inputs, self._cell)
        self._time(prepared, whole, arms, oracle)

    def _refuse(self, reasons: Mapping[str, str]) -> None:
        """Write rows with the reasons why no strategy has room. Neither model nor sources are made."""
        cell = self._cell
        self._file.write(src_lens=[], formulas={}, weight_bytes=predicted_weight_bytes(self._config, cell))
        self._progress.cell(cell.title)
        self._progress.expect(-effort(cell, self._strategies, self._measure, len(self._children.names)).work)
        for label, reason in reasons.items():
            self._outcomes.settle(label, "failed", reason)
        first = next(iter(reasons.values()))
        self._outcomes.settle_open("failed", f"no strategy has room, so there is nothing to compare with: {first}")

    def _prepare(self) -> Prepared:
        """Load the model and the sources and forecast the work; cell.json is written with them."""
        cell = self._cell
        if cell.linear == "auto":
            self._progress.say("kernels")
        prepared = Prepared.of(cell, self._config, self._strategies, self._memory, self._outcomes.fail)
        self._file.write(**prepared.written(), necessary=floors(self._children, self._config, cell))
        totals = prepared.expected.totals
        self._work = dict.fromkeys(self._children.names, contender_work(totals))
        self._work |= {label: total.work for label, total in totals.items()}
        self._progress.cell(cell.title)
        return prepared

    def _drop(self, label: str, status: Status, why: str) -> None:
        """Note the outcome of an arm that will not be timed, and take its rounds out of the expected work."""
        self._outcomes.settle(label, status, why)
        self._progress.expect(-timed_passes(self._measure, self._cell.device) * self._work[label])

    def _drop_too_large(self, expected: Forecast) -> None:
        for strategy in self._strategies:
            if strategy.label in self._faults:
                self._progress.expect(-timed_passes(self._measure, self._cell.device) * self._work[strategy.label])
                continue
            reason = expected.too_large.get(strategy.label)
            if reason is not None and (skipped := why_skipped(self._cell, strategy)):
                self._drop(strategy.label, "skipped", skipped)
            elif reason:
                self._drop(strategy.label, "failed", reason)

    def _admission(self, prepared: Prepared) -> Admission:
        cell, weights, memory = self._cell, prepared.weight_bytes, device_memory(self._cell.device)
        if fault := self._faults.get(ORACLE):
            no_oracle = f"failed: {fault.located}"
        else:
            no_oracle = why_too_large(self._config, cell, parse(ORACLE), prepared.padded, weights, memory)
        no_reference = why_no_reference(cell, parse(ORACLE), prepared.model, prepared.padded, weights, memory)
        no_stand_in = ""
        if self._approximate:
            no_stand_in = why_too_large(self._config, cell, parse(STAND_IN), prepared.padded, weights, memory)
        outcomes, work = self._outcomes, self._work
        reasons = no_oracle, no_reference, no_stand_in
        return Admission(cell, prepared.model, prepared.inputs, outcomes, work, self._progress, *reasons)

    def _time(
        self, prepared: Prepared, whole: EncoderDecoder, ours: Sequence[Arm], oracle: Callable[[], StrategyArm]
    ) -> None:
        """Run the rounds and note the figures of the arms that came to their end, contenders included.

        Contenders are given the weights of ``whole``.

        From the first round on a request to stop is only noted, until the figures are: closing contenders takes
        seconds, and the rounds would be lost.
        """
        cell, inputs, measure = self._cell, prepared.inputs, self._measure
        writer, progress, outcomes = self._writer, self._progress, self._outcomes
        if self._children.names:
            progress.say("contenders")
        seconds_max = measure.contender_seconds_max
        with ExitStack() as until_noted:
            with self._children.line_up(
                cell, whole, inputs, seconds_max, oracle, self._drop, writer.run_dir, outcomes.kept
            ) as others:
                progress.advance(sum(self._work[name] for name in self._children.names))
                arms = [*ours, *others]
                with repeats(measure, arms, cell, whole.config, inputs.data(), self._children) as again:
                    a_round = timed_passes(measure, cell.device) * self._work.get(again.baseline, 0)
                    progress.expect(-again.missing * a_round)
                    rounds = Rounds(cell, arms, measure, writer, progress, self._work, outcomes.fail, again)
                    until_noted.enter_context(finished_first())
                    self._timed, conditions = rounds.run()
                    writer.conditions(conditions)
            self._note_finished()

    def _note_finished(self) -> None:
        """Note the figures of timed arms, and whether their tokens equal the oracle's if the oracle was timed."""
        oracle_BN = next((arm.token_BN for arm in self._timed if arm.label == ORACLE), None)
        for arm in self._timed:
            with contained(partial(self._outcomes.fail, arm.label)):
                self._outcomes.finish(arm, oracle_BN)
