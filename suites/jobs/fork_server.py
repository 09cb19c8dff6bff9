"""The process from which processes for single cells are forked: ``python -m suites.jobs.fork_server``.

It has imported torch and whatever measures a cell, and it has started no threads and no CUDA, so that a forked process
begins at once and as a fresh one would. It reads one line of JSON per cell and forks a process that measures the cell:

    {"job": TEXT, "modules": [...], "left_out": {...}, "faults": {...}, "why": TEXT, "asked_s": SECONDS,
     "waited_s": SECONDS}

``job`` is a ``CellJob``; ``modules`` are imported before it is read, as they register its strategies. ``asked_s`` is
the time of the monotonic clock at which the process was asked for, and ``waited_s`` is what earlier processes of the
cell took to begin. The process writes one JSON line for each message, and the server the last of them once the process
has ended, on a line of its own even where the process was killed in the middle of one:

    {"began": PID}                               the process is there
    {"at_work": LABEL}                           an arm begins, or "" for what belongs to no arm
    {"progress": [METHOD, ARGUMENT, ...]}        a call of the parent's progress
    {"done": true}                               the cell is written
    {"spoiled": [LABEL, {...}, [LABEL, ...]]}    the fields of a SpoiledError
    {"stopped": REASON}                          it was asked to stop
    {"refused": [ERRNO, TEXT, FILE]}             the operating system refused to write the run folder
    {"ended": CODE, "left": COUNT}               the process has ended; below 0, by a signal

``left`` counts the processes that strategies had started and that were still there; they were ended, and so were those
of contenders. The server ends when its input ends, and so does a process that measures a cell.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import errno
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from strategies import registry
from strategies.discovery import LEFT_OUT

from ..contenders.running import child
from ..machine.child_process import adopt_orphans, end_children, end_with, kill_tree
from ..machine.environment import environment
from ..machine.openblas import use_cores
from ..machine.signals import REASONS, Stopped, handled
from ..measuring.spoiled import watch_work
from ..settings.faults import Fault, SpoiledError
from ..words.progress import ToldProgress
from .cell_job import CellJob

FILES = 16
"""So many files must a process be able to open after each stage of an arm."""
LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""Errors that say what a process lacks, and nothing of the file that it was about to open."""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
"""What the server is started with: numpy's OpenBLAS would start its threads when it is imported."""


def main() -> None:
    """Fork a process for each cell until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a line that a library prints must not look like a message

    def tell(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    environment(with_gpu=False)  # what it reads once per process is read here, once for all cells
    gc.freeze()
    adopt_orphans()
    server, wakes = os.getpid(), _woken_by_ends()
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            end_with(server)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with handled(*REASONS, quiet=True):
                tell(began=os.getpid())
                _measure(json.loads(line), tell)
            _exit()
        code = _wait(pid, wakes)
        left = [command for command in end_children() if child.__name__ not in command]
        answers.write("\n")
        tell(ended=code, left=len(left))


def _woken_by_ends() -> int:
    """Return a file descriptor that can be read from whenever a child of this process ends."""
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return reading


def _exit() -> NoReturn:
    """End this process as multiprocessing ends one. The system takes its memory back; Python, which would tear down
    each module that the server has imported, takes a second for that.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _wait(pid: int, wakes: int) -> int:
    """Wait for a process and return how it ended; kill it once the input ends, as nobody is left to read of it."""
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        ready = select.select([wakes, sys.stdin], [], [])[0]
        if sys.stdin in ready:
            kill_tree(pid)
            ended = os.waitpid(pid, 0)
            break
        with contextlib.suppress(BlockingIOError):
            os.read(wakes, 1 << 10)
    return os.waitstatus_to_exitcode(ended[1])


def _measure(request: dict[str, Any], tell: Callable[..., None]) -> None:
    """Measure one cell, in the forked process."""
    tell = _here_alone(tell)
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
    watch_work(partial(_turn, tell))
    try:
        job.run(ToldProgress(lambda *call: tell(progress=call)), faults, noted)
    except SpoiledError as spoiled:
        tell(spoiled=[spoiled.label, dataclasses.asdict(spoiled.fault), spoiled.left])
    except Stopped as stopped:
        tell(stopped=stopped.reason)
    except OSError as error:
        if not _refuses(error, job.run_dir):
            raise
        tell(refused=[error.errno, error.strerror, error.filename])
    else:
        tell(done=True)


def _here_alone(tell: Callable[..., None]) -> Callable[..., None]:
    """Return ``tell`` for this process alone. A copy of it that a strategy forks and lets go on ends, as it would
    measure, write and tell everything once more.
    """
    own = os.getpid()

    def told(**message: Any) -> None:
        if os.getpid() != own:
            os._exit(1)
        tell(**message)

    return told


def _turn(tell: Callable[..., None], label: str) -> None:
    """Tell which arm is at work. If the one before has used up the files that this process may open, it ends first.

    Nothing could be measured or written any more, and the first to miss a file would not be the one to blame.
    """
    opened = []
    try:
        for _ in range(FILES):
            opened.append(os.dup(0))
    except OSError as error:
        if error.errno == errno.EMFILE:
            print(f"it has left no file to open ({error.strerror})", file=sys.stderr, flush=True)
            os._exit(1)
    finally:
        for file in opened:
            os.close(file)
    tell(at_work=label)


def _refuses(error: OSError, run_dir: Path) -> bool:
    """Whether an error says that the run folder cannot be written, and not that this process lacks something."""
    if error.errno in LACKING or not isinstance(error.filename, str):
        return False
    path = Path(error.filename)
    return path.is_relative_to(run_dir) or run_dir.is_relative_to(path)


if __name__ == "__main__":
    main()
