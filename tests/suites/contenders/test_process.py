"""A contender's process as the run has it, and what the run says of the CPU time that it takes."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch

from strategies import config_of
from suites.contenders import Contender, ContenderError, Decoded
from suites.contenders.running.agreement import padded
from suites.contenders.running.arm import ContenderArm
from suites.contenders.running.cache import shared_checkpoint
from suites.contenders.running.child import Served
from suites.contenders.running.lineup import why_not
from suites.contenders.running.process import Process
from suites.measuring.conditions import Watch
from suites.timing.clock import CpuClock
from suites.timing.quiet import WATCHED_S
from tests.suites.contenders.conftest import decode

BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"


@pytest.fixture
def arm(checkpoint, fixed_cell):
    shape = config_of(fixed_cell.model)
    arm = ContenderArm("strategy:static_kv", fixed_cell, shape, fixed_cell.src_ids, checkpoint, 100)
    yield arm
    arm.close()


def test_it_is_at_rest_until_it_is_asked_and_a_kill_from_outside_is_told(arm, fixed_cell):
    done = arm.round(0, False, CpuClock())
    assert dataclasses.astuple(done)[:4] == ("strategy:static_kv", 0, False, True)
    assert done.collections == 0
    assert done.others_cores is not None
    assert padded(arm.token_ids, 0).tolist() == decode(fixed_cell).tolist()
    process = psutil.Process(arm.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(0.5)
    assert sum(process.cpu_times()[:2]) - before < 0.05
    # Linux shares CPU time between sessions before processes; an interrupt of the terminal goes to a process group.
    assert (os.getsid(arm.pid), os.getpgid(arm.pid)) == (os.getsid(0), arm.pid)
    os.kill(arm.pid, signal.SIGKILL)
    with pytest.raises(ContenderError, match="its process was ended by SIGKILL"):
        arm.round(1, False, CpuClock())
    assert not psutil.pid_exists(arm.pid)


class Notes(Contender):
    def prepare(self, checkpoint, cell):
        self.began = []

    def round(self, src_ids, stop):
        self.began.append(time.perf_counter())
        return Decoded([[3]], [0.0, 0.1, 0.2])


def test_a_child_rests_before_each_of_its_rounds_as_the_run_does(request_of, fixed_cell):
    contender = Notes()
    served = Served(contender)
    served.prepare(request_of(fixed_cell))
    asked = time.perf_counter()
    served.round({"every_step": True})
    assert contender.began[0] - asked >= WATCHED_S


@pytest.mark.parametrize("threads", [3, 1])
def test_a_child_s_torch_has_the_threads_of_the_cell(request_of, fixed_cell, threads):
    before = torch.get_num_threads()
    try:
        Served(Notes()).prepare(request_of(dataclasses.replace(fixed_cell, threads=threads)))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux" or (os.cpu_count() or 1) < 2, reason="needs Linux and two cores")
def test_a_child_may_use_all_cores_though_openmp_has_bound_our_thread_to_one(monkeypatch):
    cores = os.sched_getaffinity(0)
    monkeypatch.setattr("suites.machine.cores.places", lambda: frozenset(cores))
    os.sched_setaffinity(0, {min(cores)})
    try:
        process = Process("strategy:static_kv", 1, 60.0)
        assert psutil.Process(process.pid).cpu_affinity() == sorted(cores)
        assert os.sched_getaffinity(0) == {min(cores)}
        process.close()
    finally:
        os.sched_setaffinity(0, cores)


def test_what_a_contender_uses_of_the_cpu_is_no_load_of_others():
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        watch = Watch("cpu")
        child.stdout.readline()
        seen = watch.conditions("rounds", "")
        child.communicate("\n")
    assert seen.own_cpu_s >= 0.25


def test_another_architecture_or_type_or_device_is_a_reason_to_skip(tiny_model, fixed_cell):
    assert "is of the architecture transformer2017" in why_not(Contender, fixed_cell, tiny_model("transformer2017"))
    assert "have fewer heads" in why_not(Contender, fixed_cell, tiny_model("t5", num_kv_heads=1))
    model = tiny_model("t5")
    assert why_not(Contender, fixed_cell, model) == ""
    assert "fp32 weights, not bf16" in why_not(Contender, dataclasses.replace(fixed_cell, dtype="bf16"), model)
    assert "on cpu alone, not on cuda" in why_not(Contender, dataclasses.replace(fixed_cell, device="cuda"), model)


def test_equal_weights_share_one_checkpoint_and_others_do_not(tiny_model, tmp_path):
    first = shared_checkpoint(tiny_model("t5"), tmp_path)
    written = (first / "model.safetensors").stat().st_mtime_ns
    assert shared_checkpoint(tiny_model("t5"), tmp_path) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == written
    assert shared_checkpoint(tiny_model("t5", seed=1), tmp_path) != first
    assert sorted(path.name for path in first.parent.iterdir()) == ["checkpoint"]
