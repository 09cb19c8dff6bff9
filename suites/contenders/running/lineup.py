"""The contenders of a run, from their names to arms that may be timed; those that may not become rows with a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from strategies import ModelConfig
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import why_not_exported

from ...measuring.arms import StrategyArm
from ...measuring.child_arms import Tell
from ...settings.cells import Cell
from ...settings.faults import Fault, contained
from ...settings.inputs import Inputs, Source
from ...store.records import crossed_label
from ...timing.clock import clocks
from ..contender import Contender
from ..selection import BEST, Selected, selected
from .arm import ContenderArm
from .best_threads import fastest, thread_counts
from .cache import cache_of, shared_checkpoint
from .judgement import Judgement
from .own_strategy import PREFIX


def why_not(contender: type[Contender], cell: Cell, model: EncoderDecoder) -> str:
    """Return why a contender is skipped in a cell, or ""."""
    if reason := why_not_exported(model.config):
        return f"contenders read a Hugging Face folder, and {reason}; give model=small, for example"
    return (
        contender.missing()
        or contender.unknown(cell)
        or contender.outside(cell)
        or contender.unsearched(cell)
        or contender.supports(cell)
    )


def make_room(cell: Cell) -> None:
    """Give the device's memory that this process has freed, but keeps, back to the driver, for the child processes."""
    if cell.device == "cuda":
        torch.cuda.empty_cache()


def ready(
    asked: Selected,
    cell: Cell,
    config: ModelConfig,
    source: Source,
    checkpoint: Path,
    seconds_max: float,
    started: list[ContenderArm],
    threads: int,
) -> ContenderArm:
    """Start a contender for a cell, but with ``threads``, and add it to ``started``. Raises ContenderError."""
    told = dataclasses.replace(cell, threads=threads)
    arm = ContenderArm(asked.name, told, config, source, checkpoint, seconds_max, asked.label)
    started.append(arm)
    return arm


def started_arm(asked: Selected, start: Callable[[int], ContenderArm], cell: Cell) -> tuple[ContenderArm, str]:
    """Start a contender with the threads that are asked for, and say how many they are where its label does not."""
    if asked.threads != BEST:
        return start(asked.threads or cell.threads), ""
    counts = thread_counts()
    best, silent = fastest(start, counts, clocks(cell.device)[0])
    said = f"with threads={best.threads}, the fastest of {', '.join(map(str, counts))}; the cell has {cell.threads}"
    return best.arm, said + "".join(f"; threads={threads} gave no answer in time" for threads in silent)


@dataclass(frozen=True)
class Contenders:
    """The contenders of a run, given by ``names``. It implements ``measuring.child_arms.ChildArms``."""

    names: Sequence[str] = ()

    def weight_bytes(self, name: str) -> int | None:
        """Bytes per element of a contender's weights; None if they are of the cell's type."""
        return selected(name).contender.weight_bytes

    @contextmanager
    def line_up(
        self,
        cell: Cell,
        model: EncoderDecoder,
        inputs: Inputs,
        seconds_max: float,
        oracle: Callable[[], StrategyArm],
        tell: Tell,
        run_dir: Path,
        kept: Callable[[str, Fault], str],
    ) -> Iterator[list[ContenderArm]]:
        """Start contenders, and give the arms of those that may be timed. Leaving the context ends every process.

        A contender may be timed if it is installed, supports the cell, and in a first round decoded what the oracle
        does. ``tell`` is given label, status and reason of the others. ``kept`` keeps the traceback of a fault and
        returns the reason.
        """
        started: list[ContenderArm] = []
        arms: list[ContenderArm] = []
        judgement = Judgement(cell, oracle)
        source = inputs.data()
        checkpoint: Path | None = None

        def fail(name: str, fault: Fault) -> None:
            tell(name, fault.status, kept(name, fault))

        if self.names:
            make_room(cell)
        try:
            for name in self.names:
                with contained(partial(fail, name)):
                    asked = selected(name)
                    contender = asked.contender
                    if reason := why_not(contender, cell, model):
                        tell(name, "skipped", reason)
                        continue
                    # Once for all of them: its digest reads every weight.
                    checkpoint = checkpoint or shared_checkpoint(model, cache_of(run_dir))
                    start = partial(ready, asked, cell, model.config, source, checkpoint, seconds_max, started)
                    arm, said = started_arm(asked, start, cell)
                    arm.round(-1, True, clocks(cell.device)[0])
                    passed, told = judgement.of(contender, arm)
                    arm.remark = "; ".join(filter(None, (said, told)))
                    if passed:
                        arms.append(arm)
                    else:
                        tell(name, "invalid", arm.remark)
                for arm in started:
                    if arm not in arms:
                        arm.close()
                started[:] = arms
            yield arms
        finally:
            for arm in started:
                arm.close()

    def strategy(self, label: str, cell: Cell, config: ModelConfig, source: Source, seconds_max: float) -> ContenderArm:
        """Start a strategy of this project in a process like a contender's. Raises ContenderError."""
        make_room(cell)
        return ContenderArm(PREFIX + label, cell, config, source, Path(), seconds_max, crossed_label(label))
