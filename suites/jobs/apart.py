"""A cell in a process of its own, seen from the run: it is started, followed, told to stop, and ended if it hangs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from strategies import Mistake
from strategies.discovery import LEFT_OUT

from ..machine.child_process import ChildProcess, how_ended, kill_tree
from ..machine.limits import memory_limit, oom_kills
from ..machine.signals import Stopped, finished_first, stop_if_requested, stop_requested
from ..settings.faults import Fault, SpoiledError
from ..words.progress import Progress
from ..words.quantity import quantity
from .cell_job import CellJob
from .fork_server import ENVIRONMENT
from .isolation import module_of

ENDING_S = 5.0
"""Seconds that the process of a cell may take to end after its cell, or after an interrupt."""


class LostError(Mistake):
    """The process of a cell ended, or was ended, before the cell was done.

    ``label`` is the arm that was at work, "" where that is not known, and ``fault`` says how the process ended.
    ``begun`` says whether it had told the progress that the cell began.
    """

    def __init__(self, label: str, fault: Fault, begun: bool) -> None:
        super().__init__(fault.reason)
        self.label, self.fault, self.begun = label, fault, begun


class Apart:
    """Measures cells, each in a process forked from a server, which is started with the first of them."""

    def __init__(self, **environment: str) -> None:
        """``environment`` is added to that of the processes."""
        self._environment = ENVIRONMENT | environment
        self._server: ChildProcess | None = None
        self._cell: _Followed | None = None
        self._hurried = False
        self._waited_s: dict[str, float] = {}
        """Seconds that processes took to begin, by the cell's id."""

    def run(self, job: CellJob, progress: Progress, faults: Mapping[str, Fault], why: str) -> None:
        """Measure a cell in a process of its own. ``why``: why it is.

        Raises SpoiledError as ``run_cell`` does, LostError, Stopped, and OSError where the folder cannot be written.
        """
        asked_s = time.monotonic()
        if self._hurried:
            raise KeyboardInterrupt
        if self._server is None:
            self._server = ChildProcess(f"{__package__}.fork_server", **self._environment)
        request: dict[str, Any] = {
            "job": job.to_json(),
            "modules": [module_of(strategy) for strategy in job.strategies],
            "left_out": LEFT_OUT,
            "faults": {label: dataclasses.asdict(fault) for label, fault in faults.items()},
            "why": why,
            "asked_s": asked_s,
            "waited_s": self.waited_s(job),
        }
        self._server.write(json.dumps(request))
        self._cell = cell = _Followed(self._server, job.measure.cell_seconds_max, progress)
        try:
            with finished_first(cell.ask):
                cell.follow()
        except KeyboardInterrupt:
            cell.stop_within(ENDING_S)
            raise
        finally:
            self._cell = None
            if not cell.server_lives:
                self.close()
        self._waited_s[job.cell.id] = request["waited_s"] + cell.began_s - asked_s
        try:
            cell.conclude()
        except LostError:
            if self._hurried:
                raise KeyboardInterrupt from None
            raise

    def waited_s(self, job: CellJob) -> float:
        """Seconds that the processes of a cell took to begin."""
        return self._waited_s.get(job.cell.id, 0.0)

    def hurry(self) -> None:
        """Have the process that measures a cell, if there is one, stop now, and start no more. For another thread."""
        self._hurried = True
        if (cell := self._cell) is not None:
            cell.signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the processes. For another thread than the one that measures."""
        if (server := self._server) is not None:
            server.kill()

    def close(self) -> None:
        """End the server, if there is one."""
        if self._server is not None:
            self._server.close()
            self._server = None


def _message(line: str) -> dict[str, Any]:
    """Read a message; {} for half of one, whose process was killed while it wrote, and for the end of such a line."""
    try:
        message: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return message


class _Followed:
    """The process of one cell, followed by the messages that it and the server write."""

    def __init__(self, server: ChildProcess, seconds_max: float | None, progress: Progress) -> None:
        self._server, self._seconds_max, self._progress = server, seconds_max, progress
        self._pid: int | None = None
        self._unasked = ["by no signal yet"]
        self._outcome: dict[str, Any] = {}
        self._fault: Fault | None = None
        self._label, self._begun = "", False
        self.began_s = self._turned_s = time.monotonic()
        self._kills = oom_kills()
        self.server_lives = True

    def ask(self, number: int) -> None:
        """Ask the process to stop, by a signal and once; one that is not there yet is asked as soon as it is."""
        if self._pid is not None:
            with contextlib.suppress(IndexError):  # taking it cannot be divided: a handler or a thread may come between
                self._unasked.pop()
                self.signal(number)

    def signal(self, number: int) -> None:
        """Send the process a signal, if it is there."""
        if self._pid is not None:
            with contextlib.suppress(OSError):
                os.kill(self._pid, number)

    def follow(self) -> None:
        """Read messages until the process has ended; end it if it takes too long."""
        limit_s = self._seconds_max
        while True:
            left_s = None if limit_s is None or self._pid is None else limit_s - (time.monotonic() - self.began_s)
            try:
                if self._outcome:
                    left_s = ENDING_S
                line = self._server.read(None if left_s is None else max(left_s, 0.0))
            except queue.Empty:
                if not self._outcome:
                    self._fault = self._hung()
                limit_s = None
                assert self._pid is not None
                kill_tree(self._pid)
                continue
            if not line:
                self.server_lives = False
                self._fault = self._fault or Fault(*self._server.ended())
                return
            if (message := _message(line)) and self._is_last(message):
                return

    def _is_last(self, message: dict[str, Any]) -> bool:
        match message:
            case {"began": pid}:
                self._pid, self.began_s = pid, time.monotonic()
                self._server.said()
                if stop_requested():
                    self.ask(signal.SIGINT)
            case {"progress": [method, *arguments]}:
                self._begun = self._begun or method in ("cell", "skip")
                getattr(self._progress, method)(*arguments)
            case {"at_work": label}:
                self._label, self._turned_s = label, time.monotonic()
            case {"ended": code, "left": left}:
                self._note_end(code)
                if left:
                    one, were = ("process", "was") if left == 1 else ("processes", "were")
                    print(f"{left} {one} that a strategy had started {were} ended", file=sys.stderr, flush=True)
                return True
            case _:
                self._outcome = message
        return False

    def _note_end(self, code: int) -> None:
        said = self._server.said()
        if self._outcome and said:  # what a strategy prints is shown, as it is without isolation
            print(said, file=sys.stderr, flush=True)
        self._fault = self._fault or Fault((code == -signal.SIGKILL and self._killed()) or how_ended(code, said), said)

    def _killed(self) -> str:
        """Say for lack of whose memory the kernel killed the process; "" if it did not."""
        for where, count in oom_kills().items():
            if count > self._kills.get(where, 0):
                limit = memory_limit()
                return (
                    f"out of memory: its process was killed for lack of memory in {where} "
                    f"({quantity(limit.amount, 'B')}: {limit.bound_by})"
                )
        return ""

    def _hung(self) -> Fault:
        """The fault of a process that takes too long: the arm's at work if it took more than half of the time."""
        limit = f"measure.cell_seconds_max={self._seconds_max:g} s"
        now = time.monotonic()
        if self._label and now - self._turned_s > (now - self.began_s) / 2:
            return Fault(f"no end within {limit}: its process was ended")
        self._label = ""
        return Fault(f"the cell took longer than {limit}; allow more, or measure fewer rounds or arms")

    def stop_within(self, seconds_max: float) -> None:
        """Interrupt the process and wait for its end; kill it if it takes longer.

        It is interrupted twice: an interrupt that follows another closely may be one with it for the system.
        """
        for _ in range(2):
            self.signal(signal.SIGINT)
            until = time.monotonic() + seconds_max / 2
            with contextlib.suppress(queue.Empty):
                while line := self._server.read(max(0.0, until - time.monotonic())):
                    if "ended" in _message(line):
                        return
                break  # it has closed its output
        self.server_lives = False
        self._server.kill()

    def conclude(self) -> None:
        """Raise what came of the cell, unless it is done."""
        match self._outcome:
            case {"done": True}:
                return
            case {"spoiled": [label, fault, left]}:
                raise SpoiledError(label, Fault(**fault), left)
            case {"refused": [number, reason, file]}:
                raise OSError(number, reason, file)
        stop_if_requested()
        if reason := self._outcome.get("stopped"):  # by a signal to that process alone
            raise Stopped(reason, signal.SIGINT)
        assert self._fault is not None
        raise LostError(self._label, self._fault, self._begun)
