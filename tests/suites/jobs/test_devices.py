"""All GPUs of a machine: each takes the next cell in a process that sees it alone; cells on the CPU run one by one."""

import dataclasses

import pytest

from suites.__main__ import main
from suites.jobs import devices
from suites.jobs.planned import planned
from suites.settings.overrides import compose_jobs, read_overrides
from suites.store.cell_state import state_of
from suites.store.files import read_json
from suites.store.plan import read_plan, write_plan
from tests.resuming import KEYS


def plan(run_dir):
    """A plan of three cells on the CPU, and the same on CUDA."""
    found = planned(compose_jobs(read_overrides([key for key in KEYS if "plots" not in key and "report" not in key])))
    on_cuda = [dataclasses.replace(one, cell=dataclasses.replace(one.cell, device="cuda")) for one in found]
    write_plan(run_dir, [one.frozen() for one in (*found, *on_cuda)])
    return read_plan(run_dir)


def test_each_worker_has_a_device_and_takes_the_next_cell(tmp_path):
    entries = plan(tmp_path)
    devices.measure_on_all(tmp_path, entries, ["3", "5"])
    assert {state_of(tmp_path, entry).status for entry in entries} == {"done"}
    seen = {"cpu": [], "cuda": []}
    for entry in entries:
        environment = read_json(tmp_path / "cells" / entry["id"] / "environment.json")
        seen[entry["cell"]["device"]].append(environment["cuda_visible_devices"])
    assert set(seen["cpu"]) <= {None}
    assert set(seen["cuda"]) <= {"3", "5"}
    assert len(seen["cuda"]) == 3


def test_a_cell_that_somebody_else_measures_ends_every_worker(tmp_path, monkeypatch):
    entries = plan(tmp_path)[3:]

    def busy(*arguments):
        raise OSError(28, "No space left on device", "run")

    monkeypatch.setattr(devices, "measure_entry", busy)
    with pytest.raises(OSError, match="No space left"):
        devices.measure_on_all(tmp_path, entries, ["0", "1"])


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
