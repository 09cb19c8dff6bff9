"""The process from which processes for single cells are forked: ``python -m suites.jobs.fork_server``.

It has imported torch and whatever measures a cell, and it has started no threads and no CUDA, so that a forked process
begins at once and as a fresh one would. It reads one line of JSON per cell and forks a process that measures the cell:

    {"job": TEXT, "modules": [...], "left_out": {...}, "faults": {...}, "why": TEXT, "asked_s": SECONDS,
     "waited_s": SECONDS}

``job`` is a ``CellJob``; ``modules`` are imported before it is read, as they register its strategies. ``asked_s`` is
the time of the monotonic clock at which the process was asked for, and ``waited_s`` is what earlier processes of the
cell took to begin. The two processes write one JSON line for each message:

    {"began": PID}                               the process is there
    {"at_work": LABEL}                           an arm begins, or "" for what belongs to no arm
    {"progress": [METHOD, ARGUMENT, ...]}        a call of the parent's progress
    {"done": true}                               the cell is written
    {"spoiled": [LABEL, {...}, [LABEL, ...]]}    the fields of a SpoiledError
    {"stopped": REASON}                          it was asked to stop
    {"refused": [ERRNO, TEXT, FILE]}             the operating system refused to write the run folder
    {"ended": CODE}                              the process has ended; below 0, by a signal

It ends when its input ends, and so does a process that measures a cell.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import json
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from strategies import registry
from strategies.discovery import LEFT_OUT

from ..machine.child_process import kill_tree
from ..machine.openblas import use_cores
from ..machine.signals import REASONS, Stopped, handled
from ..measuring.spoiled import watch_work
from ..settings.faults import Fault, SpoiledError
from ..words.progress import ToldProgress
from .cell_job import CellJob

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""What the server is started with: numpy's OpenBLAS would start its threads when it is imported."""


def main() -> None:
    """Fork a process for each cell until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a line that a library prints must not look like a message

    def tell(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    gc.freeze()
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            with handled(*REASONS, quiet=True):
                _measure(json.loads(line), tell)
            return
        tell(began=pid)
        tell(ended=_wait(pid))


def _wait(pid: int) -> int:
    """Wait for a process and return how it ended; kill it once the input ends, as nobody is left to read of it."""
    with contextlib.suppress(AttributeError, OSError):  # no such call on this system
        ended = os.pidfd_open(pid)
        try:
            if ended not in select.select([ended, sys.stdin], [], [])[0]:
                kill_tree(pid)
        finally:
            os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _measure(request: dict[str, Any], tell: Callable[..., None]) -> None:
    """Measure one cell, in the forked process."""
    begun_s = request["waited_s"] + time.monotonic() - request["asked_s"]
    noted = {"isolated": {"why": request["why"], "begun_s": begun_s}}
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    use_cores()
    LEFT_OUT.update(request["left_out"])
    registry()
    for module in request["modules"]:
        importlib.import_module(module)
    job = CellJob.of_json(request["job"])
    faults = {label: Fault(**fault) for label, fault in request["faults"].items()}
    watch_work(lambda label: tell(at_work=label))
    try:
        job.run(ToldProgress(lambda *call: tell(progress=call)), faults, noted)
    except SpoiledError as spoiled:
        tell(spoiled=[spoiled.label, dataclasses.asdict(spoiled.fault), spoiled.left])
    except Stopped as stopped:
        tell(stopped=stopped.reason)
    except OSError as error:
        tell(refused=[error.errno, error.strerror, error.filename])
    else:
        tell(done=True)


if __name__ == "__main__":
    main()
