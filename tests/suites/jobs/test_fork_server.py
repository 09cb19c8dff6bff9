"""The process from which those of cells are forked, and what ends with them."""

import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from suites.jobs import fork_server
from suites.jobs.cell_job import CellJob
from suites.jobs.fork_server import ENVIRONMENT
from suites.machine.child_process import ChildProcess, kill_tree
from suites.settings.config import MeasureConfig
from tests.command import ROOT

from ..measuring.one_cell import CELL


def test_the_server_starts_neither_threads_nor_cuda():
    told = "import psutil, torch, suites.jobs.fork_server; "
    told += "print(psutil.Process().num_threads(), torch.cuda.is_initialized())"
    done = subprocess.run(
        [sys.executable, "-c", told],
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "False"]


LEAVES = """
import atexit, os
class Kept:
    def __del__(self, write=os.write):
        write(2, b"torn down ")
kept = Kept()
atexit.register(os.write, 2, b"at exit ")
print("printed ", end="")
"""


def test_the_process_of_a_cell_ends_without_tearing_down_what_the_server_has_imported(tmp_path):
    (tmp_path / "leaves.py").write_text(LEAVES)
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    with contextlib.closing(ChildProcess("suites.jobs.fork_server", **ENVIRONMENT, PYTHONPATH=path)) as server:
        request = {"job": CellJob(CELL, [], [], MeasureConfig(), tmp_path).to_json(), "modules": ["leaves"]}
        request |= {"left_out": {}, "faults": {}, "why": "as asked", "asked_s": 0.0, "waited_s": 0.0}
        server.write(json.dumps(request))
        lines = [json.loads(server.read(60) or "null")]
        while "ended" not in lines[-1]:
            if (line := server.read(60)).strip():
                lines.append(json.loads(line))
        assert lines[-1] == {"ended": 0, "left": 0}
        assert server.said() == "printed at exit"


def test_an_arm_that_uses_up_the_files_ends_the_process_while_it_is_the_one_at_work(capfd):
    told = []
    fork_server._turn(lambda **message: told.append(message), "mine")
    assert told == [{"at_work": "mine"}]
    if (pid := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        with contextlib.suppress(OSError):
            while True:
                os.dup(0)
        fork_server._turn(lambda **message: os._exit(0), "")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert capfd.readouterr().err == "it has left no file to open (Too many open files)\n"


RUN = Path("/data/run")


@pytest.mark.parametrize(
    ("error", "refuses"),
    [
        (OSError(errno.ENOSPC, "full", "/data/run/cells/a/arms.json"), True),
        (OSError(errno.EROFS, "read-only", "/data"), True),
        (OSError(errno.EMFILE, "files", "/data/run/cells/a/arms.json"), False),
        (OSError(errno.ENOMEM, "memory", "/data/run/cells/a/arms.json"), False),
        (OSError(errno.EAGAIN, "threads"), False),
        (OSError(errno.ENOSPC, "full", "/elsewhere/file"), False),
    ],
)
def test_only_an_error_of_the_run_folder_ends_the_run(error, refuses):
    assert fork_server._refuses(error, RUN) == refuses


@pytest.fixture
def stopping(copy, tmp_path):
    """(a server, the process of a cell whose strategy is at work and goes no further)."""
    server = ChildProcess("suites.jobs.fork_server", **ENVIRONMENT, PYTHONPATH=str(copy))
    job = json.loads(CellJob(CELL, [], [], MeasureConfig(), tmp_path).to_json())
    request = {"job": json.dumps(job | {"strategies": ["stops(at=6)"]}), "modules": ["strategies.spoiling"]}
    server.write(
        json.dumps(request | {"left_out": {}, "faults": {}, "why": "as asked", "asked_s": 0.0, "waited_s": 0.0})
    )
    cell = psutil.Process(json.loads(server.read(60))["began"])
    while json.loads(server.read(60)).get("at_work") != "stops(at=6)":
        pass
    yield server, cell
    with contextlib.suppress(psutil.NoSuchProcess):
        cell.kill()
    server.close()


def test_the_process_of_a_cell_ends_with_the_run_and_has_its_cores_and_path(stopping):
    server, cell = stopping
    assert cell.ppid() == server.pid
    assert cell.cpu_affinity() == psutil.Process().cpu_affinity()
    assert os.getpgid(cell.pid) == server.pid
    server.close()  # as if the run were gone: its input ends
    cell.wait(10)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not end a process with its parent")
def test_the_process_of_a_cell_ends_with_a_server_that_is_killed(stopping):
    server, cell = stopping
    os.kill(server.pid, signal.SIGKILL)
    cell.wait(10)
    while server.read(10):  # raises queue.Empty where something holds its output open
        pass


def test_the_run_is_told_of_an_end_without_calls_that_only_new_kernels_of_linux_have(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    reading, writing = os.pipe()
    with os.fdopen(reading) as lines, os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdin", lines)
        wakes = fork_server._woken_by_ends()
        try:
            short, long = (subprocess.Popen(["sleep", seconds]) for seconds in ("0.2", "600"))
            assert fork_server._wait(short.pid, wakes) == 0
            closed.close()
            assert fork_server._wait(long.pid, wakes) == -signal.SIGKILL
            assert [short.poll(), long.poll()] == [0, 0]  # they are gone, and were waited for
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


HALF = """
import os, signal
from suites.jobs import fork_server
def measure(request, tell):
    answers = tell.__closure__[0].cell_contents
    answers.write('{"spoiled": ["mine", {"reason"')
    answers.flush()
    os.kill(os.getpid(), signal.SIGKILL)
fork_server._measure = measure
fork_server.main()
"""


def test_the_end_of_a_process_is_a_line_of_its_own_whatever_it_was_writing(copy, tmp_path):
    (tmp_path / "half.py").write_text(HALF)
    server = ChildProcess("half", **ENVIRONMENT, PYTHONPATH=os.pathsep.join([str(tmp_path), str(copy)]))
    server.write("{}")
    try:
        lines = [server.read(60) for _ in range(3)]
    finally:
        server.close()
    assert lines[1:] == ['{"spoiled": ["mine", {"reason"\n', json.dumps({"ended": -signal.SIGKILL, "left": 0}) + "\n"]


LEFT_BEHIND = """
import os, subprocess, time
from suites.jobs import fork_server
from suites.machine import child_process
def measure(request, tell):
    tell = fork_server._here_alone(tell)
    if (copy := os.fork()) == 0:
        tell(copy="is heard")
    code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
    tell(copy=code, left=subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
child_process.GRACE_S = 0.1
fork_server._measure = measure
fork_server.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels give to init what a process leaves behind")
def test_what_a_strategy_starts_ends_with_its_cell_and_a_copy_of_the_process_says_nothing(copy, tmp_path):
    (tmp_path / "leaves.py").write_text(LEFT_BEHIND)
    server = ChildProcess("leaves", **ENVIRONMENT, PYTHONPATH=os.pathsep.join([str(tmp_path), str(copy)]))
    server.write("{}")
    try:
        _, told, _, ended = [server.read(60) for _ in range(4)]
        told = json.loads(told)
        assert told["copy"] == 1
        assert json.loads(ended) == {"ended": 0, "left": 2}
        assert not psutil.pid_exists(told["left"])
        assert psutil.Process(server.pid).children(recursive=True) == []
    finally:
        server.close()


def test_a_process_is_killed_with_its_own_children():
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    with shell:
        child = psutil.Process(int(shell.stdout.readline()))
        kill_tree(shell.pid)
        assert shell.wait(10) == -signal.SIGKILL
    psutil.wait_procs([child], 10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
