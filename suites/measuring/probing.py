"""Passes of the probes over the admitted arms of a cell, before the rounds: peak memory and dispatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.kernels.packed import is_native

from ..probes.attention import NoKernelError, kernel_errors
from ..probes.overhead import dispatch_s
from ..settings.cells import Cell
from ..settings.faults import contained
from ..timing.clock import clocks
from ..words.progress import Progress
from .arms import StrategyArm
from .outcomes import Outcomes
from .spoiled import answering


def probed(
    arms: Sequence[StrategyArm],
    cell: Cell,
    model: EncoderDecoder,
    work: Mapping[str, int],
    outcomes: Outcomes,
    progress: Progress,
) -> list[StrategyArm]:
    """The arms that came through, after peak memory and dispatch are noted of those with eager steps.

    The operators that these probes watch do not exist in compiled or captured steps.
    """
    good: list[StrategyArm] = []
    clock = clocks(cell.device)[0]
    is_native_step = is_native(model) and cell.attention == "auto"
    for arm in arms:
        progress.say("memory")
        with contained(partial(outcomes.fail, arm.label)), answering(arm.label):
            if arm.strategy.execution == "eager":
                outcomes.note(arm.label, peak_memory_bytes=arm.peak_memory_bytes(clock))
                if not cell.weights:  # dispatch is measured on a model with whole weights
                    # That model is small: where the cell's attention kernel refuses its sizes, nothing is noted.
                    with suppress(NoKernelError), kernel_errors(cell.attention):
                        given = arm.strategy, cell.dtype, cell.device, clock, cell.tgt_len, cell.search
                        outcomes.note(arm.label, dispatch_s=dispatch_s(model.config, *given, is_native_step))
            progress.advance(work[arm.label])
            good.append(arm)
    return good
