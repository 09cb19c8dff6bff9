"""A contender's process, seen from its parent: it is started, asked, and ended if it crashes or does not answer."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

import psutil

from ...machine.cores import all_allowed
from ..contender import ContenderError, UnavailableError

STARTING_S = 300.0
"""Seconds that the process may take to start and to import this package."""
CLOSING_S = 2.0
"""Seconds that it may take to end by itself after its input has ended."""


class Process:
    """The process of one contender. It waits for input whenever it has no request."""

    def __init__(self, name: str, threads: int, seconds_max: float) -> None:
        """Start it with ``threads`` threads for OpenMP and torch. An answer may take ``seconds_max``.

        Raises ContenderError.
        """
        self._name, self._seconds_max = name, seconds_max
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        with all_allowed():
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.child", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": str(threads),
                    "PYTHONPATH": os.pathsep.join(dict.fromkeys(map(os.path.abspath, sys.path))),
                    "TOKENIZERS_PARALLELISM": "false",
                },
                text=True,
                # The parent handles an interrupt of the terminal, so the child gets a process group of its own. It gets
                # no session of its own: Linux shares CPU time between sessions first (autogroups), so on a busy machine
                # it would be faster than the same code in the parent.
                process_group=0,
            )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self._answer(STARTING_S, "its process did not start")
        except BaseException:
            self.close()
            raise

    def _listen(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put("")

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._popen.pid

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises ContenderError, and ends the process, if no answer comes in time or the answer is an error. The error is
        UnavailableError if the contender's library lacks what the cell needs.
        """
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):  # the process has ended: no answer will come
            self._popen.stdin.write(json.dumps(request) + "\n")
            self._popen.stdin.flush()
        return self._answer(self._seconds_max, "no answer (measure.contender_seconds_max=S allows more)")

    def _answer(self, seconds_max: float, silence: str) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds_max)
        except queue.Empty:
            self.kill()
            raise ContenderError(f"{silence} within {seconds_max:g} s") from None
        if not line:
            raise ContenderError(*self._ended())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self.kill()
            kind = UnavailableError if answer["status"] == "skipped" else ContenderError
            raise kind(answer["error"], answer["traceback"])
        return answer

    def _ended(self) -> tuple[str, str]:
        """(how the process ended and the last line it wrote, everything it wrote on standard error)."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(CLOSING_S)
        code = self._popen.poll()
        if code is None:
            self.kill()
            return "its process closed its output", ""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._stderr.seek(0)
        told = self._stderr.read().decode(errors="replace")
        said = [line for line in told.splitlines() if line.strip()]
        return f"its process {how}" + (f": {said[-1].strip()}" if said else ""), told.strip()

    def kill(self) -> None:
        """Kill the process and all its children."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.kill()
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
