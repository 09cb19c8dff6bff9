"""A contender's process, seen from its parent: it is started, asked, and ended if it crashes or does not answer."""

from __future__ import annotations

import json
import queue
from typing import Any

from ...machine.child_process import ChildProcess
from ..errors import ContenderError, NoAnswerError, UnavailableError

STARTING_S = 300.0
"""Seconds that the process may take to start and to import this package."""


class Process:
    """The process of one contender. It waits for input whenever it has no request."""

    def __init__(self, name: str, threads: int, seconds_max: float) -> None:
        """Start it with ``threads`` threads for OpenMP and torch. An answer may take ``seconds_max``.

        Raises ContenderError.
        """
        self._seconds_max = seconds_max
        more = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        self._child = ChildProcess(f"{__package__}.child", name, **more)
        try:
            self._answer(STARTING_S, "its process did not start")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._child.pid

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises ContenderError, and ends the process, if no answer comes in time or the answer is an error. The error is
        NoAnswerError in the first case, and UnavailableError if the contender's library lacks what the cell needs.
        """
        self._child.write(json.dumps(request))
        return self._answer(self._seconds_max, "no answer (measure.contender_seconds_max=S allows more)")

    def _answer(self, seconds_max: float, silence: str) -> dict[str, Any]:
        try:
            line = self._child.read(seconds_max)
        except queue.Empty:
            self._child.kill()
            raise NoAnswerError(f"{silence} within {seconds_max:g} s") from None
        if not line:
            raise ContenderError(*self._child.ended())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self._child.kill()
            kind = UnavailableError if answer["status"] == "skipped" else ContenderError
            raise kind(answer["error"], answer["traceback"])
        return answer

    def close(self) -> None:
        """Close its input and wait for it to end; kill it if it does not."""
        self._child.close()
