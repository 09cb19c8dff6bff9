"""Requests to stop, by a signal or by the program: a round in progress is finished first, anything else stops at once.

A request holds for the whole process until the context of ``handled`` that it was made in is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

INTERRUPTED, CHECKPOINT = "interrupted", "checkpoint"
HANGUP: int = getattr(signal, "SIGHUP", -1)  # absent on Windows
USER: int = getattr(signal, "SIGUSR2", -1)
TO_STOP: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, HANGUP)
"""The signals that a run handles."""
REASONS: dict[int, str] = dict.fromkeys(TO_STOP, INTERRUPTED) | {USER: CHECKPOINT}
"""The reason that each signal gives, where it is handled."""
TOLD = "decodebench: stopping once the round in progress is done; Ctrl-C again stops now"


class Stopped(KeyboardInterrupt):
    """A run was asked to stop. ``reason`` says why in a word, and ``code`` is the exit code that says by which signal.

    It is a KeyboardInterrupt, so that code which contains exceptions lets it through.
    """

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, 128 + number


class _Requests:
    """What was asked of this process, and who is to be told of it while a round is in progress."""

    def __init__(self) -> None:
        self.made: Stopped | None = None
        self.in_round: list[Callable[[int], None]] = []
        self.handlers: list[Any] = []
        """Those of the contexts of ``handled`` that are entered."""


_now = _Requests()


def stop_requested() -> str:
    """The reason why a stop was asked for, "" where none was."""
    return _now.made.reason if _now.made else ""


def is_stop(error: BaseException) -> bool:
    """Whether an exception means that the program is to stop: a KeyboardInterrupt, unless it cannot be by a signal.

    Where ``handled`` has its handlers, an interrupt is a request; without one, some code has just raised the exception.
    Without them, as in a thread or under the handlers of somebody else, any may be by a signal.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    known = _now.handlers and signal.getsignal(signal.SIGINT) in (*_now.handlers, signal.SIG_IGN)
    return isinstance(error, Stopped) or bool(stop_requested()) or not known


def stop_if_requested() -> None:
    """Raise Stopped if a stop was asked for."""
    if _now.made is not None:
        raise Stopped(_now.made.reason, _now.made.code - 128)


def request_stop(reason: str, number: int = signal.SIGINT) -> None:
    """Ask for a stop: after the round in progress, or else by raising Stopped here.

    ``number`` is that of the signal that asks; the exit code follows from it. Of several requests the first counts,
    except that a SIGINT after another request raises Stopped at once.
    """
    if _now.made is not None:
        if number == signal.SIGINT:
            stop_if_requested()
        return
    _now.made = Stopped(reason, number)
    if not _now.in_round:
        stop_if_requested()
    for told in [*_now.in_round]:  # threads may come and go
        told(number)


@contextlib.contextmanager
def finished_first(told: Callable[[int], None] = lambda number: None) -> Iterator[None]:
    """While the ``with`` block runs, a request is only noted: the block asks for it where it may stop.

    ``told`` is called with the number of the signal that asks.
    """
    _now.in_round.append(told)
    try:
        yield
    finally:
        _now.in_round.remove(told)


@contextlib.contextmanager
def handled(*numbers: int, quiet: bool = False) -> Iterator[None]:
    """Turn signals into requests to stop inside the ``with`` block; then restore their handlers.

    ``numbers`` are those of the signals, by default ``TO_STOP``; ``REASONS`` has the reason of each.

    Where a round is finished first, one line on standard error says so, unless ``quiet``.

    A signal may come where Python can raise nothing, as in a finalizer: the request is noted, and nothing is shown.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored. Outside the main thread, which alone may set
    handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    terminals = [number for number in (1, 2) if os.isatty(number)]

    def handle(number: int, frame: FrameType | None) -> None:
        if number == HANGUP:
            _leave(terminals)
        first = not stop_requested()
        request_stop(REASONS[number], number)
        if first and not quiet:
            _tell()

    before: dict[int, Any] = {}
    _now.handlers.append(handle)
    shown = sys.unraisablehook

    def show(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, Stopped):
            shown(unraisable)

    sys.unraisablehook = show
    try:
        for number in numbers or TO_STOP:
            if number in signal.valid_signals() and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = shown
        _now.handlers.remove(handle)
        _now.made = None


def _leave(terminals: Sequence[int]) -> None:
    """Point standard streams whose terminal is gone at /dev/null: what is printed from now on must not fail."""
    with contextlib.suppress(OSError):
        for number in terminals:
            if not os.isatty(number):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _tell() -> None:
    with contextlib.suppress(OSError, RuntimeError):  # the signal may have come while a line is being written
        print(TOLD, file=sys.stderr, flush=True)
