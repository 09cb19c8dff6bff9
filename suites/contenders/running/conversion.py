"""What a contender makes of a checkpoint once, in a process of its own."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from ...machine.child_process import how_ended
from ...settings.faults import Fault, contained
from ..contender import Contender
from ..errors import ContenderError, UnavailableError


def convert_once(contender: Contender, checkpoint: Path) -> None:
    """Have ``contender`` make its folder beside the checkpoint, unless it is there. Raises ContenderError.

    It is made in a process of its own, whose memory does not count as the contender's.
    """
    if not contender.converted or checkpoint.with_name(contender.converted).exists():
        return
    context = get_context("spawn")
    answers, answer = context.Pipe(duplex=False)
    process = context.Process(target=_convert, args=(contender, checkpoint, answer))
    process.start()
    answer.close()  # so that reading ends when the process does
    try:
        faults: list[Fault] = answers.recv()
    except EOFError:
        process.join()
        raise ContenderError(
            f"{checkpoint} could not be converted for {contender.name}: {how_ended(process.exitcode or 0, '')}; "
            "free memory for it, or leave the contender out of contenders="
        ) from None
    process.join()
    for fault in faults:
        if fault.status == "skipped":
            raise UnavailableError(fault.reason)
        raise ContenderError(
            f"{checkpoint} could not be converted for {contender.name}: {fault.reason}; mend it, or leave the "
            "contender out of contenders=",
            fault.traceback,
        )


def _convert(contender: Contender, checkpoint: Path, answer: Connection) -> None:
    faults: list[Fault] = []
    with contained(faults.append):
        contender.convert(checkpoint)
    answer.send(faults)
