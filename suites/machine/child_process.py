"""A module of this project in a process of its own, which reads lines and answers with lines."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO

import psutil

from .cores import all_allowed

CLOSING_S = 2.0
"""Seconds that the process may take to end by itself after its input has ended."""

GRACE_S = 1.0
"""Seconds that processes may take to end by themselves after the one that had started them."""

PR_SET_CHILD_SUBREAPER = 36
"""Of Linux' prctl.h: a process that is one becomes the parent of its descendants whose own parent ends."""
PR_SET_PDEATHSIG = 1
"""Of Linux' prctl.h: the signal that a process gets when the thread that forked it ends."""


def how_ended(code: int, told: str) -> str:
    """Say how a process ended: its exit code, or the signal where ``code`` is below 0, and the last line of ``told``.

    >>> how_ended(-11, ""), how_ended(3, "first\\nlast\\n")
    ('its process was ended by SIGSEGV', 'its process ended with exit code 3: last')
    """
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    said = [line for line in told.splitlines() if line.strip()]
    return f"its process {how}" + (f": {said[-1].strip()}" if said else "")


def kill_tree(pid: int) -> None:
    """Kill a process and all its children, if it is there."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:  # it first, so that it does not see its children end
            with contextlib.suppress(psutil.Error):
                one.kill()


def adopt_orphans() -> None:
    """On Linux, have this process become the parent of what its children have started and leave behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children() -> list[list[str]]:
    """End all children of this process, and theirs, unless they end by themselves within a second.

    Returns the command line of each that had to be killed. It waits no longer than a killed process may take to end.
    """
    killed: dict[int, list[str]] = {}
    begun_s = time.monotonic()
    while _has_children() and (waited_s := time.monotonic() - begun_s) < GRACE_S + CLOSING_S:
        if waited_s > GRACE_S:
            for one in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it is gone, or a zombie
                    killed[one.pid] = one.cmdline()
                    one.kill()
        time.sleep(0.01)
    return [*killed.values()]


def _has_children() -> bool:
    """Whether this process has children, some of which may have ended. Those that have are waited for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def end_with(parent: int) -> None:
    """On Linux, have the kernel kill this process once its parent, whose id is ``parent``, has ended in any way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it had ended before
            os._exit(1)


class ChildProcess:
    """A process that runs ``python -m module arguments``, as this one would: same path, environment and cores.

    What it writes on standard error is kept until ``close`` and not shown.
    """

    def __init__(self, module: str, *arguments: str, **environment: str) -> None:
        """Start it. ``environment`` is added to that of this process."""
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        self._said = 0
        with all_allowed():
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(dict.fromkeys(map(os.path.abspath, sys.path))),
                    **environment,
                },
                text=True,
                # The parent handles an interrupt of the terminal, so the child gets a process group of its own. It gets
                # no session of its own: Linux shares CPU time between sessions first (autogroups), so on a busy machine
                # it would be faster than the same code in the parent.
                process_group=0,
            )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._popen.pid

    def write(self, line: str) -> None:
        """Write a line to its input. If it has ended, nothing happens: ``read`` says so."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.write(line + "\n")
            self._popen.stdin.flush()

    def read(self, seconds_max: float | None = None) -> str:
        """Wait for the next line of its output; "" once it has closed it. Raises ``queue.Empty`` if none comes."""
        return self._lines.get(timeout=seconds_max)

    def ended(self) -> tuple[str, str]:
        """(how it ended and the last line it wrote on standard error, everything it wrote there)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(CLOSING_S)
        code = self._popen.poll()
        if code is None:
            self.kill()
            return "its process closed its output", ""
        told = self.said()
        return how_ended(code, told), told

    def said(self) -> str:
        """Return what was written on its standard error since this was last asked."""
        size = os.fstat(self._stderr.fileno()).st_size
        told = os.pread(self._stderr.fileno(), size - self._said, self._said)  # the process writes at the file's offset
        self._said = size
        return told.decode(errors="replace").strip()

    def kill(self) -> None:
        """Kill the process and all its children."""
        kill_tree(self.pid)
        self._popen.kill()
        self._popen.wait()

    def close(self) -> None:
        """Close its input and wait for it to end; kill it if it does not."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        try:
            self._popen.wait(CLOSING_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._stderr.close()
