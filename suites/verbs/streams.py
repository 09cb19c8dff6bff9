"""Standard streams as a shell may have left them: closed, full, or unable to show a character."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys


def prepare() -> None:
    """Open what is closed onto nothing, and let a character that a stream cannot show be written as an escape.

    A closed standard output is as if it went to /dev/null; otherwise the next file that is opened would be it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with contextlib.suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def named(error: OSError) -> OSError:
    """The error, with standard output's name where a write failed of no file; then it is written no more.

    What writes to a file of a run folder names it (``files``).
    """
    if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG):
        return error
    silence()
    return OSError(error.errno, error.strerror, "standard output")


def silence() -> None:
    """Let Python end without writing, and failing, once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
