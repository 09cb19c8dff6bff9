"""The arm of a strategy, with the attention kernels that it uses, which are read before anything is timed."""

from __future__ import annotations

from strategies import Session, Strategy
from strategies.execution import is_captured
from strategies.models.encoder_decoder import EncoderDecoder

from ..probes.attention import NoKernelError, attention_kernels, kernel_errors
from ..settings.cells import Cell
from ..settings.faults import contained
from ..settings.inputs import Inputs
from .arms import StrategyArm, new_session

STEPS = 2
"""Steps whose kernels are read: the second is the first that feeds several rows under full recompute."""


def allocated(
    strategy: Strategy, model: EncoderDecoder, inputs: Inputs, cell: Cell
) -> tuple[StrategyArm, frozenset[str]]:
    """Allocate an arm. Return it and the names of the attention kernels that it uses; none if they cannot be read.

    Raises NoKernelError where ``cell.attention`` asks for a kernel that cannot compute this case, or was not the only
    one used, and whatever the strategy raises when it is allocated.
    """
    asked = cell.attention
    with kernel_errors(asked):
        arm = StrategyArm(strategy, model, inputs, cell)
    ran: set[str] = set()
    # What else is wrong with the strategy, the stages that follow say.
    with contained(lambda fault: None, NoKernelError), kernel_errors(asked):
        ran = _kernels(arm, inputs, cell)
    # The compiler makes loops of the separate operators that are "math", and of no other kernel.
    others = ran - ({"math", "loop"} if asked == "math" else {asked})
    if asked != "auto" and others:
        raise NoKernelError(asked, f"torch used {' and '.join(sorted(others))} instead")
    return arm, frozenset(ran)


def _kernels(arm: StrategyArm, inputs: Inputs, cell: Cell) -> set[str]:
    """Attention kernels of prefill and of ``STEPS`` steps, or those that a second capture of them sees."""
    execution = arm.strategy.execution

    def session() -> Session:
        return new_session(arm.session.model, arm.strategy, cell)

    if is_captured(arm.strategy, cell.device, cell.beams):
        return attention_kernels(session, execution)
    watched = session() if execution == "eager" else arm.session

    def steps() -> None:
        for n in range(min(STEPS, cell.tgt_len)):
            if n:
                watched.select(watched.own_BW())
            watched.step(watched.first_X)

    prefill = attention_kernels(lambda: watched.prefill(inputs.source, inputs.src_mask_BS))
    return prefill | attention_kernels(steps, execution)
