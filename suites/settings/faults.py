"""Exceptions raised by a user's code, as text: one line for a table, and the whole traceback for a file."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from strategies import Mistake
from strategies.models.message_text import described, first_line

from ..machine.signals import is_stop


@dataclass(frozen=True)
class Fault:
    """An exception as text.

    ``reason`` is one line. ``traceback`` is Python's traceback in many lines, "" where the reason says enough.
    """

    reason: str
    traceback: str = ""
    where: str = ""
    """File name and line number, "" where the reason says enough."""
    status: Literal["failed", "invalid", "skipped"] = "failed"
    """Status of the case: "invalid" where equality cannot be proven, because the oracle's logits are not finite;
    "skipped" where a contender's library lacks what the cell needs on this machine."""

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """Turn an exception into text.

        The exception itself is not kept: through its frames it would keep their tensors alive.
        """
        told = getattr(error, "traceback", "")  # set by an error that a contender's process reported
        if isinstance(told, str) and told:
            return cls(reason_of(error), told)
        if isinstance(error, Mistake):
            return cls(reason_of(error), status=error.status)
        if _is_memory(error):
            return cls(reason_of(error))
        return cls(reason_of(error), "".join(traceback.format_exception(error)), _where(error))

    @property
    def located(self) -> str:
        """The reason, followed by file and line where they are known; for messages that come without a traceback."""
        return f"{self.reason} ({self.where})" if self.where else self.reason


class SpoiledError(Mistake):
    """A CUDA error has spoiled CUDA for this process: from now on every CUDA call fails. ``contained`` lets it through.

    ``label`` is the arm that caused the error, "" where it is none of the arms, and ``fault`` is the error. ``left``
    holds the labels of the arms of the cell that are yet to be measured, in another process.
    """

    def __init__(self, label: str, fault: Fault, left: Sequence[str] = ()) -> None:
        if label:
            told = f"{label} spoiled CUDA for this process: {fault.reason}"
            told += "; mend it (CUDA_LAUNCH_BLOCKING=1 shows where), or leave it out"
        else:
            told = f"CUDA is spoiled for this process: {fault.reason}; run again"
        super().__init__(told)
        self.label, self.fault, self.left = label, fault, left


@contextmanager
def contained(told: Callable[[Fault], None], *through: type[Exception]) -> Iterator[None]:
    """Pass whatever is raised inside the ``with`` block to ``told`` and stop it there, ``sys.exit`` included.

    A request to stop (``is_stop``), SpoiledError and the exceptions in ``through`` are raised on.
    """
    try:
        yield
    except BaseException as error:
        if is_stop(error) or isinstance(error, (SpoiledError, *through)):
            raise
        told(Fault.of(error))


@contextmanager
def blamed(label: str) -> Iterator[None]:
    """Turn what one strategy's code raises inside the ``with`` block into a StrategyError of one line.

    It is for verbs that can show nothing without that strategy. A Mistake, a request to stop and an error for lack of
    memory are raised on unchanged.
    """
    try:
        yield
    except BaseException as error:
        if is_stop(error) or isinstance(error, Mistake) or _is_memory(error):
            raise
        from strategies import StrategyError

        told = f"{label}: {Fault.of(error).located}; mend it, or leave it out of strategies="
        raise StrategyError(told) from error


def reason_of(error: BaseException) -> str:
    """One line for a table: "out of memory", a Mistake's own message, or the exception's type and first line."""
    text = first_line(error)
    if _is_memory(error):
        return f"out of memory: {text}" if text else "out of memory"
    if isinstance(error, Mistake) and text:
        return text
    return described(error)


def _is_memory(error: BaseException) -> bool:
    """Whether an exception means lack of memory. torch's is recognised by name, so that torch need not be imported."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in first_line(error)
    )


def _where(error: BaseException) -> str:
    """File and line of the innermost frame outside installed packages: a strategy's own line, even if torch raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or list(frames)
    return f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
