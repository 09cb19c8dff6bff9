"""All GPUs of a machine: each takes the next cell in a process that sees it alone; cells on the CPU run one by one."""

import dataclasses
import os
import signal
import threading
import time

import psutil
import pytest

from suites.__main__ import main
from suites.jobs import attempt, devices, local
from suites.jobs.planned import planned
from suites.machine.signals import handled, stop_requested
from suites.settings.overrides import compose_jobs, read_overrides
from suites.store.cell_state import state_of
from suites.store.files import read_json
from suites.store.locks import cell_lock, locked
from suites.store.plan import read_plan, write_plan
from suites.words.progress import Progress
from tests.command import SMALL_MODEL, copy_packages
from tests.resuming import KEYS

from .interrupted import interrupted_twice


def plan(run_dir):
    """A plan of three cells on the CPU, and the same on CUDA."""
    found = planned(compose_jobs(read_overrides([key for key in KEYS if "plots" not in key and "report" not in key])))
    on_cuda = [dataclasses.replace(one, cell=dataclasses.replace(one.cell, device="cuda")) for one in found]
    write_plan(run_dir, [one.frozen() for one in (*found, *on_cuda)])
    return read_plan(run_dir)


@pytest.fixture
def both_begin(monkeypatch):
    """Each worker waits with its first cell until the other one has begun, too; which took what: (GPU, cell's id)."""
    begun, taken, usual = threading.Barrier(2, timeout=60), [], local.measure_entry

    def measure(run_dir, entry, cells, progress):
        gpu = cells._apart._environment.get(devices.VISIBLE)
        if gpu and gpu not in dict(taken):
            taken.append((gpu, entry["id"]))
            begun.wait()
        usual(run_dir, entry, cells, progress)

    monkeypatch.setattr(local, "measure_entry", measure)
    return taken


def seen_by(run_dir, entries):
    """CUDA_VISIBLE_DEVICES of the process that measured each cell."""
    folders = [run_dir / "cells" / entry["id"] for entry in entries]
    return [read_json(folder / "environment.json")["cuda_visible_devices"] for folder in folders]


def test_each_worker_has_a_device_and_measures_cells(tmp_path, both_begin):
    entries = plan(tmp_path)[:3]  # on the CPU, which is there wherever the tests run
    with Progress(1, 3) as progress:
        devices.Workers(tmp_path, entries, ["3", "5"], progress).run()
    assert {gpu for gpu, _ in both_begin} == {"3", "5"}
    assert set(seen_by(tmp_path, entries)) == {"3", "5"}
    assert [state_of(tmp_path, entry).status for entry in entries] == ["done"] * 3
    for entry in entries:
        arms = read_json(tmp_path / "cells" / entry["id"] / "arms.json")
        assert {arm["status"] for arm in arms} == {"ok"}
    assert not [one.name for one in threading.enumerate() if one.name.startswith(devices.NAME)]


def test_cells_on_the_cpu_are_measured_first_and_by_no_worker(tmp_path, both_begin, monkeypatch):
    entries, ended = plan(tmp_path), []
    usual = local.measure_entry

    def measure(run_dir, entry, cells, progress):
        usual(run_dir, entry, cells, progress)
        ended.append(entry["cell"]["device"])

    monkeypatch.setattr(local, "measure_entry", measure)
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    devices.measure_on_all(tmp_path, [*entries[3:], *entries[:3]], ["3", "5"])
    assert ended == ["cpu"] * 3 + ["cuda"] * 3
    assert seen_by(tmp_path, entries[:3]) == [None] * 3
    assert set(seen_by(tmp_path, entries[3:])) == {"3", "5"}
    assert [state_of(tmp_path, entry).status for entry in entries[:3]] == ["done"] * 3


def test_a_folder_that_cannot_be_written_ends_every_worker_after_its_cell(tmp_path, both_begin, monkeypatch):
    entries, usual, tried = plan(tmp_path)[:3], local.measure_entry, []

    def full(run_dir, entry, cells, progress):
        monkeypatch.setattr(cells, "run", lambda *arguments: fail())
        tried.append(entry["id"])
        usual(run_dir, entry, cells, progress)

    def fail():
        raise OSError(28, "No space left on device", "run")

    monkeypatch.setattr(local, "measure_entry", full)
    with pytest.raises(OSError, match="No space left"), Progress(1, 3) as progress:
        devices.Workers(tmp_path, entries, ["0", "1"], progress).run()
    assert sorted(tried) == sorted(entry["id"] for entry in entries[:2])


@pytest.mark.parametrize("gpus", [[], ["3", "5"]])
def test_a_cell_that_somebody_else_measures_is_left_alone_and_the_rest_is_measured(tmp_path, monkeypatch, capfd, gpus):
    monkeypatch.setattr(attempt, "PROBING_S", 0.05)
    entries = plan(tmp_path)[:3]
    with locked(cell_lock(tmp_path, entries[0]["id"]), ""):
        if gpus:
            with Progress(1, 3) as progress:
                devices.Workers(tmp_path, entries, gpus, progress).run()
        else:
            local.measure_here(tmp_path, entries)
    assert [state_of(tmp_path, entry).status for entry in entries] == ["missing", "done", "done"]
    (line,) = [one for one in capfd.readouterr().err.splitlines() if "left alone" in one]
    assert line.startswith(f"left alone: cell {entries[0]['id']} of ")
    assert f"is being measured by process {os.getpid()} on " in line


def test_a_first_ctrl_c_between_cells_lets_no_further_cell_begin(tmp_path, monkeypatch):
    entries, taken, both = plan(tmp_path), [], threading.Barrier(2, timeout=60)

    def between(run_dir, entry, cells, progress):
        taken.append(entry["id"])
        if both.wait() == 0:
            os.kill(os.getpid(), signal.SIGINT)
        while not stop_requested():
            time.sleep(0.01)

    monkeypatch.setattr(local, "measure_entry", between)
    with handled(), Progress(1, 6) as progress:
        devices.Workers(tmp_path, entries, ["3", "5"], progress).run()
        assert stop_requested()
    assert len(taken) == 2
    assert not [one.name for one in threading.enumerate() if one.name.startswith(devices.NAME)]


def runs(pid):
    """Whether a process is there and is more than an entry that nobody has asked for yet."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


STOPPED = """
import sys
from suites.__main__ import main
from suites.jobs import devices
devices.devices = lambda: ["3", "5"]
devices._is_on_cuda = lambda entry: True
devices.ENDING_S = 1.0
sys.exit(main(sys.argv[1:]))
"""


def test_a_second_ctrl_c_ends_the_processes_of_all_workers_and_no_further_cell_begins(tmp_path):
    copy = copy_packages(tmp_path, "spoiling")
    chosen = "strategies=[static_kv,'stops(at=5,batches=4)','stops(at=6,batches=4,deaf=true)']"
    given = ["seq_len=5,6,7,8,9,10", chosen, *SMALL_MODEL, "measure=quick", "threads=1", "plots=false", "report=false"]
    given += ["hydra.sweep.dir=run", "+cluster=local", "cluster.gpus=all"]
    out, err, hung = interrupted_twice(copy, 2, "-c", STOPPED, "run", *given)
    assert "Traceback" not in err
    assert set(hung) == {5, 6}
    assert not any(runs(pid) for pid in hung.values())
    begun = {read_json(file)["tgt_len"] for file in (copy / "run" / "cells").glob("*/cell.json")}
    assert begun == {5, 6}
    assert "4 planned cells have no result yet" in out


def test_the_visible_devices_are_those_that_the_environment_names(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.devices() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7, GPU-3f")
    assert devices.devices() == ["7", "GPU-3f"]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([], "cluster.gpus=all: no CUDA device here; leave it out"),
        (["isolate=none"], "cluster.gpus=all is not allowed with isolate=none"),
    ],
)
def test_it_is_refused_where_it_means_nothing(tmp_path, monkeypatch, capsys, keys, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "devices", lambda: ["0"] if keys else [])
    assert main(["run", *KEYS, "+cluster=local", "cluster.gpus=all", *keys]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
