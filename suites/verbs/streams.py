"""Standard streams in any state in which a shell may have left them: closed, full, or unable to show a character."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys


def prepare() -> None:
    """Open closed streams on /dev/null, and let a stream write a character that it cannot show as an escape.

    Without that, the next file that is opened would take the place of a closed standard output.
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
    """Return the error, named "standard output" if a write failed that names no file; that stream is then silenced.

    Code that writes a file of a run folder puts its name into the error (``store.files``).
    """
    if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG):
        return error
    silence()
    return OSError(error.errno, error.strerror, "standard output")


def silence() -> None:
    """Point standard output at /dev/null, so that Python does not try to write to it again, and fail, when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
