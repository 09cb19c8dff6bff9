"""What the code of a user raises: a line for a table, and the whole traceback for a file."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from strategies import Mistake

LONGEST = 500


@dataclass(frozen=True)
class Fault:
    """``reason``: one line. ``traceback``: where it was raised, in many lines; "" where the reason says all."""

    reason: str
    traceback: str = ""
    where: str = ""
    """File and line, "" where the reason says all."""
    status: Literal["failed", "invalid"] = "failed"
    """Of the row: invalid where nothing can be proven, as what judges has logits that are not finite."""

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """Text alone, as an error holds whatever its frames hold: tensors too."""
        told = getattr(error, "traceback", "")  # of a contender's process
        if isinstance(told, str) and told:
            return cls(reason_of(error), told)
        if isinstance(error, Mistake):
            return cls(reason_of(error), status=error.status)
        if _is_memory(error):
            return cls(reason_of(error))
        return cls(reason_of(error), "".join(traceback.format_exception(error)), _where(error))

    @property
    def located(self) -> str:
        """The reason, with file and line where no file holds the traceback."""
        return f"{self.reason} ({self.where})" if self.where else self.reason


@contextmanager
def contained(told: Callable[[Fault], None], *through: type[Exception]) -> Iterator[None]:
    """Inside, whatever is raised is told and goes no further, ``sys.exit`` included. An interrupt goes on, as does what
    is let ``through``.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, *through)):
            raise
        told(Fault.of(error))


@contextmanager
def blamed(label: str) -> Iterator[None]:
    """Inside runs the code of one strategy, for verbs that can show nothing without it: what it raises, but for a
    Mistake, is a StrategyError of one line.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, Mistake) or _is_memory(error):
            raise
        from strategies import StrategyError

        told = f"{label}: {Fault.of(error).located}; mend it, or leave it out of strategies="
        raise StrategyError(told) from error


def reason_of(error: BaseException) -> str:
    """One line for a table: out of memory by that name, else the exception's type and first line."""
    text = _first_line(error)
    if _is_memory(error):
        return f"out of memory: {text}" if text else "out of memory"
    if isinstance(error, Mistake) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _first_line(error: BaseException) -> str:
    """Of its message, as text that can be printed; long ones are cut."""
    try:
        message = str(error)
    except Exception:  # of a user's own class
        message = "its message cannot be had"
    line = next(iter(message.strip().splitlines()), "").strip()
    clean = "".join(letter if letter.isprintable() else "?" for letter in line)
    return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]}..."


def _is_memory(error: BaseException) -> bool:
    """By name, as torch is not imported for it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in _first_line(error)
    )


def _where(error: BaseException) -> str:
    """The innermost line outside of installed packages: of a strategy's file, where that called torch."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or list(frames)
    return f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else ""
