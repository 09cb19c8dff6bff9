"""The contenders of a cell, from their names to arms that may be timed; the others are rows with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import why_no_t5

from ...arms import StrategyArm
from ...cells import Cell
from ...clock import CpuClock
from ...equality import reason_of
from ...inputs import Inputs
from ...records import Status
from ..contender import Contender, registry
from .agreement import TokenCheck, check_tokens
from .arm import ContenderArm
from .cache import shared_checkpoint

Tell = Callable[[str, Status, str], None]


def why_not(contender: type[Contender], cell: Cell, model: EncoderDecoder) -> str:
    """Why a contender is skipped in a cell, or ""."""
    if reason := why_no_t5(model.config):
        return f"contenders take a T5, and {reason}; model=small or another T5"
    return contender.missing() or contender.supports(cell)


@contextmanager
def line_up(
    names: Sequence[str],
    cell: Cell,
    model: EncoderDecoder,
    inputs: Inputs,
    seconds_max: float,
    oracle: Callable[[], StrategyArm],
    tell: Tell,
    cache: Path,
) -> Iterator[list[ContenderArm]]:
    """Inside, the arms of those that are there, support the cell, and gave the oracle's tokens in a first round.

    ``tell`` is given label, status and reason of the others. Every process is ended on leaving.
    """
    started: list[ContenderArm] = []
    arms: list[ContenderArm] = []
    known: dict[str, TokenCheck] = {}
    src_ids = [row[:length] for row, length in zip(inputs.src_BS.tolist(), inputs.src_lens, strict=True)]
    try:
        for name in names:
            contender = registry()[name]
            if reason := why_not(contender, cell, model):
                tell(name, "skipped", reason)
                continue
            try:
                checkpoint = shared_checkpoint(model, cache)
                arm = ContenderArm(contender, cell, model.config, src_ids, checkpoint, seconds_max)
                started.append(arm)
                arm.round(-1, True, CpuClock())
                key = str(arm.token_ids)
                if key not in known:
                    known[key] = check_tokens(oracle(), arm.token_ids, cell.dtype, cell.stop == "fixed")
                passed, arm.remark = known[key].reason(contender.exact)
                if passed:
                    arms.append(arm)
                else:
                    tell(name, "invalid", arm.remark)
            except Exception as error:
                tell(name, "failed", reason_of(error))
            if started and started[-1] not in arms:
                started.pop().close()
        yield arms
    finally:
        for arm in started:
            arm.close()
