"""A fault of a cell stays in the cell: it is a row with its reason, the other arms are measured, the sweep goes on."""

import contextlib
import dataclasses
import errno
import json
import os
import queue
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from strategies import ModelSpec, select
from strategies import strategy as strategy_module
from strategies.contiguous_kv import ContiguousKV
from suites.jobs import apart, fork_server, isolation
from suites.jobs.apart import LostError, _Followed
from suites.jobs.cell_job import CellJob
from suites.jobs.cells import Cells
from suites.jobs.fork_server import ENVIRONMENT
from suites.jobs.isolation import why_apart
from suites.machine.child_process import ChildProcess, kill_tree
from suites.machine.limits import Limit
from suites.measuring import runner
from suites.settings.config import ConfigError, MeasureConfig
from suites.settings.faults import Fault
from suites.settings.overrides import compose_jobs, read_overrides
from suites.store.cell_folder import read_cells
from suites.store.files import read_json, write_json
from suites.tables.table_files import read_tables
from suites.words.progress import Progress
from tests.command import ROOT, SMALL_MODEL, copy_packages, suites

from ..measuring.one_cell import CELL

FAULTS = {
    3: ("dies(at=3)", "its process was ended by SIGSEGV"),
    4: ("exits(at=4)", "its process ended with exit code 0"),
    5: ("grows(at=5)", "out of memory: "),
    6: ("full(at=6)", "out of memory: CUDA out of memory. Tried to allocate 2.00 GiB."),
    7: ("stops(at=7)", "no end within measure.cell_seconds_max=8 s: its process was ended"),
    8: ("spoils(at=8)", "AcceleratorError: CUDA error: device-side assert triggered; traceback in "),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with the strategies in them."""
    root = copy_packages(tmp_path_factory.mktemp("copy"))
    shutil.copy(ROOT / "tests" / "drop_ins" / "spoiling.py", root / "strategies")
    return root


@pytest.fixture(scope="module")
def sweep(copy):
    """(the finished command, its folder): in each cell another strategy does its deed."""
    chosen = f"strategies=[static_kv,{','.join(repr(label) for label, _ in FAULTS.values())}]"
    lengths = f"seq_len={','.join(map(str, [*FAULTS, 9]))}"
    limited = ["measure.rounds=2", "measure.warmup=0", "measure.cell_seconds_max=8", "plots=true"]
    done = suites("run", lengths, chosen, *SMALL_MODEL, *limited, "hydra.sweep.dir=run", folder=copy, packages=copy)
    return done, copy / "run"


@pytest.fixture
def table(sweep):
    done, folder = sweep
    assert (folder / "table.csv").exists(), done.stderr
    return read_tables(folder)[0].set_index(["tgt_len", "strategy"])


@pytest.mark.parametrize("length", FAULTS)
def test_each_fault_is_a_failed_row_whose_reason_names_the_cause(table, length):
    label, reason = FAULTS[length]
    row = table.loc[(length, label)]
    assert row["status"] == "failed"
    assert row["reason"].startswith(reason)


def test_every_other_arm_of_its_cell_is_measured_and_so_are_later_cells(table):
    for length in (*FAULTS, 9):
        others = table.loc[length].drop(FAULTS.get(length, ("", ""))[0], errors="ignore")
        assert len(others) >= len(FAULTS)
        assert (others[["status", "rounds"]] == ["ok", 2]).all().all()


def test_the_summary_says_why_cells_ran_apart_and_what_that_costs(sweep, table):
    done, folder = sweep
    (line,) = [line for line in done.stdout.replace("\n  ", " ").splitlines() if "processes of their own" in line]
    assert line.startswith("7 cells ran in processes of their own (isolate=auto: their time is limited); the first ")
    begun = [cell.cell["isolated"]["begun_s"] for cell in read_cells(folder)]
    assert all(seconds > 0 for seconds in begun)
    assert begun[-1] < begun[0]  # the first waits until the server has imported torch
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


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


class Server:
    """Answers with these messages. One that is a text is written as it is."""

    def __init__(self, *messages, said="", left=0):
        self._messages, self._said = [*messages, {"ended": -signal.SIGKILL, "left": left}], said

    def read(self, seconds_max):
        message = self._messages.pop(0)
        return message if isinstance(message, str) else json.dumps(message) + "\n"

    def said(self):
        return self._said


@pytest.mark.parametrize("who", ["the control group /job", "this machine"])
def test_a_kill_by_the_kernel_for_lack_of_memory_says_whose(monkeypatch, who):
    counts = iter([{"the control group /job": 3, "this machine": 7}] * 2)
    monkeypatch.setattr(apart, "oom_kills", lambda: {**next(counts), who: 7 + len(seen)})
    monkeypatch.setattr(apart, "memory_limit", lambda: Limit(1 << 30, "memory.max of the control group /job"))
    seen = []
    followed = _Followed(Server({"began": 0}, {"at_work": "mine"}), None, None)
    seen.append("the process")
    followed.follow()
    with pytest.raises(LostError) as lost:
        followed.conclude()
    assert lost.value.label == "mine"
    assert lost.value.fault.reason == (
        f"out of memory: its process was killed for lack of memory in {who} (1.00 GiB: memory.max of the control group "
        "/job)"
    )


def test_a_kill_by_somebody_else_does_not(monkeypatch):
    monkeypatch.setattr(apart, "oom_kills", lambda: {"this machine": 7})
    followed = _Followed(Server({"began": 0}), None, None)
    followed.follow()
    with pytest.raises(LostError, match=r"^its process was ended by SIGKILL$"):
        followed.conclude()


def test_half_a_message_of_a_process_that_is_killed_while_it_writes_is_no_outcome(monkeypatch):
    monkeypatch.setattr(apart, "oom_kills", dict)
    half = json.dumps({"spoiled": ["mine", {"reason": "CUDA error", "traceback": "x" * 5000}, []]})[:4096] + "\n"
    followed = _Followed(Server({"began": 0}, {"at_work": "mine"}, half), None, None)
    followed.follow()
    with pytest.raises(LostError, match=r"^its process was ended by SIGKILL$") as lost:
        followed.conclude()
    assert lost.value.label == "mine"


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


@pytest.mark.parametrize(
    ("left", "line"),
    [
        (0, ""),
        (1, "1 process that a strategy had started was ended\n"),
        (2, "2 processes that a strategy had started were ended\n"),
    ],
)
def test_the_run_says_what_a_strategy_left_behind(left, line, capfd):
    _Followed(Server({"began": 0}, {"done": True}, left=left), None, None).follow()
    assert capfd.readouterr().err == line


class Silent(Server):
    """Says nothing more after its messages, until the process is killed."""

    def read(self, seconds_max):
        if len(self._messages) == 1 and seconds_max is not None:
            raise queue.Empty
        return super().read(seconds_max)


@pytest.mark.parametrize(
    ("working_s", "label", "reason"),
    [
        (6.0, "mine", "no end within measure.cell_seconds_max=10 s: its process was ended"),
        (
            4.0,
            "",
            "the cell took longer than measure.cell_seconds_max=10 s; allow more, or measure fewer rounds or arms",
        ),
    ],
)
def test_only_an_arm_that_was_at_work_for_more_than_half_of_the_time_hangs(monkeypatch, working_s, label, reason):
    times, killed = iter([0.0, 0.0, 0.0, 10 - working_s, 10.0, 10.0]), []
    monkeypatch.setattr(apart.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(apart, "kill_tree", killed.append)
    followed = _Followed(Silent({"began": 7}, {"at_work": "mine"}), 10.0, None)
    followed.follow()
    with pytest.raises(LostError) as lost:
        followed.conclude()
    assert (lost.value.label, lost.value.fault.reason, killed) == (label, reason, [7])


def test_a_server_that_is_gone_is_told_as_such():
    gone = Server({"began": 0}, {"at_work": "mine"})
    gone.read = lambda seconds_max, read=gone.read: "" if len(gone._messages) == 1 else read(seconds_max)
    gone.ended = lambda: ("its process was ended by SIGKILL", "")
    followed = _Followed(gone, None, None)
    followed.follow()
    assert not followed.server_lives
    with pytest.raises(LostError, match="ended by SIGKILL"):
        followed.conclude()


def test_a_process_is_killed_with_its_own_children():
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    with shell:
        child = psutil.Process(int(shell.stdout.readline()))
        kill_tree(shell.pid)
        assert shell.wait(10) == -signal.SIGKILL
    psutil.wait_procs([child], 10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("begun", [True, False])
def test_where_every_arm_is_lost_the_run_writes_rows_without_starting_cuda(tmp_path, monkeypatch, begun):
    cells, usual, asked = Cells(CUDA_VISIBLE_DEVICES="5"), runner.environment, []
    cuda = CellJob(dataclasses.replace(CELL, device="cuda"), select("core"), [], MeasureConfig(), tmp_path)
    folder = tmp_path / "cells" / cuda.cell.id

    def lost(job, progress, faults, why):
        if begun:
            write_json(folder / "environment.json", {**usual(with_gpu=False), "cuda_visible_devices": "5"})
        cells._apart._waited_s[job.cell.id] = 0.25
        raise LostError("", Fault("its process was ended by SIGKILL"), False)

    def environment(*, with_gpu):
        asked.append(with_gpu)
        return usual(with_gpu=with_gpu)

    monkeypatch.setattr(cells._apart, "run", lost)
    monkeypatch.setattr(runner, "environment", environment)
    cells.run(cuda, Progress(1, 1))
    arms = read_json(folder / "arms.json")
    assert {(arm["status"], arm["reason"]) for arm in arms} == {("failed", "its process was ended by SIGKILL")}
    assert read_json(folder / "cell.json")["isolated"] == {"why": "isolate=auto: they run on CUDA", "begun_s": 0.25}
    assert asked == [False]
    seen = read_json(folder / "environment.json")["cuda_visible_devices"]
    assert seen == ("5" if begun else os.environ.get("CUDA_VISIBLE_DEVICES"))


class OddKV(ContiguousKV):
    """A strategy of a user."""


def job(tmp_path, strategies=None, isolate="auto", cell=CELL, **measure):
    return CellJob(cell, strategies or select("core"), [], MeasureConfig(**measure), tmp_path, isolate=isolate)


def test_auto_isolates_what_is_not_shipped_what_is_limited_what_is_large_and_cuda(tmp_path, monkeypatch):
    assert why_apart(job(tmp_path)) == ""
    assert (
        why_apart(job(tmp_path, [*select("core"), OddKV()]))
        == "isolate=auto: their strategies are not shipped with decodebench"
    )
    assert why_apart(job(tmp_path, cell_seconds_max=1.0)) == "isolate=auto: their time is limited"
    assert why_apart(job(tmp_path, cell=dataclasses.replace(CELL, device="cuda"))) == "isolate=auto: they run on CUDA"
    needed = isolation.forecast_bytes(job(tmp_path))
    for left, wanted in (
        (2 * needed, ""),
        (2 * needed - 2, "isolate=auto: their forecast exceeds half of the memory left"),
    ):
        monkeypatch.setattr(isolation, "memory_left", lambda left=left: Limit(left, "somebody"))
        assert why_apart(job(tmp_path)) == wanted
    for isolate, wanted in (("none", ""), ("process", "isolate=process")):
        assert why_apart(job(tmp_path, [OddKV()], isolate)) == wanted


def test_the_forecast_is_of_weights_and_the_largest_decoding(tmp_path):
    one, more = (isolation.forecast_bytes(job(tmp_path, select(names))) for names in (["cross_kv"], "core"))
    assert 0 < one <= more
    broken = dataclasses.replace(CELL, model=ModelSpec("gone", "checkpoint", checkpoint="/nowhere"))
    assert isolation.forecast_bytes(job(tmp_path, cell=broken)) == 0


def test_what_only_this_process_knows_is_measured_in_it_and_refused_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(OddKV, "__module__", "__main__")
    assert why_apart(job(tmp_path, [OddKV()], cell_seconds_max=1.0)) == ""
    with pytest.raises(ConfigError, match="isolate=process needs strategies that another process can import"):
        isolation.require_importable([*select("core"), OddKV()], "process")
    isolation.require_importable([OddKV()], "auto")


def test_the_list_of_shipped_modules_is_what_the_package_ships():
    files = (ROOT / "strategies").glob("*.py")
    shipped = {
        f"strategies.{path.stem}" for path in files if re.search(r"^@?register\(", path.read_text(), re.MULTILINE)
    }
    assert {*strategy_module.SHIPPED} == shipped


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (["measure.cell_seconds_max=5", "isolate=none"], "measure.cell_seconds_max=5 has no effect with isolate=none"),
        (["measure.cell_seconds_max=0"], "measure.cell_seconds_max=0 .* seconds above 0"),
        (["isolate=thread"], "isolate=thread .* none, process, auto"),
    ],
)
def test_mistakes_are_refused(given, refused):
    with pytest.raises(ConfigError, match=refused):
        compose_jobs(read_overrides(given))
