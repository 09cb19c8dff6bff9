"""What the driver of a real GPU tells: counters, clocks, energy, free memory; skipped where there is none."""

import json

import pytest
import torch

from strategies import parse
from suites.machine import nvml
from suites.machine.environment import gpu_facts
from suites.store.cell_folder import read_cells
from suites.work.capacity import device_memory
from tests.command import SMALL_MODEL, suites

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
MIB = 1 << 20


@pytest.fixture
def gpu():
    pytest.importorskip("pynvml", reason="needs nvidia-ml-py, the extra decodebench[cuda]")
    found = nvml.gpu()
    assert found, nvml.why_no_nvml()
    return found


def work_for(seconds):
    """Multiply matrices on the GPU for about so long."""
    a = torch.ones(4096, 4096, device="cuda")
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    while True:
        a @ a
        end.record()
        end.synchronize()
        if start.elapsed_time(end) >= 1e3 * seconds:
            return


def test_the_device_that_nvml_finds_is_that_of_torch(gpu):
    assert gpu._read("nvmlDeviceGetName") == torch.cuda.get_device_name(0) or "MIG" in torch.cuda.get_device_name(0)


def test_counters_never_fall_and_a_second_of_work_takes_energy(gpu):
    before_j, before_s = gpu.energy_j(), gpu.slowed_s()
    work_for(1.0)
    after_j, after_s = gpu.energy_j(), gpu.slowed_s()
    assert before_s.keys() == after_s.keys()
    assert all(after_s[reason] >= before_s[reason] for reason in before_s)
    if before_j is None:
        pytest.skip("this GPU does not count its energy")
    power_limit_w = gpu.facts()["power_limit_w"] or 2000.0
    assert 0 < after_j - before_j < 3 * power_limit_w


def test_the_facts_of_the_device_are_possible(gpu):
    facts = gpu_facts()
    assert facts["driver"]
    assert facts["capability"] == "{}.{}".format(*torch.cuda.get_device_capability(0))
    assert facts["sms"] > 0
    assert facts["l2_bytes"] > MIB
    for clock in ("sm_mhz", "memory_mhz"):
        if facts[clock] is not None and facts[f"{clock}_max"] is not None:
            assert 0 < facts[clock] <= facts[f"{clock}_max"]
    json.dumps(facts, allow_nan=False)


def test_memory_that_torch_holds_may_still_be_used():
    """Other processes may take and give memory meanwhile, so the sum itself is not compared."""
    held = torch.empty(256 * MIB, dtype=torch.uint8, device="cuda")
    found = device_memory("cuda")
    assert held.nbytes <= torch.cuda.memory_reserved() <= found.amount
    assert found.amount <= torch.cuda.get_device_properties(0).total_memory
    assert found.bound_by == "the GPU's memory that is free"


def test_rounds_on_the_device_hold_its_energy_and_the_table_that_of_long_ones(gpu, tmp_path):
    chosen = f"strategies=[{parse('static_kv').label}]"
    done = suites(
        "run", "device=cuda", "seq_len=8", *SMALL_MODEL, "measure=quick", chosen, "hydra.run.dir=a", folder=tmp_path,
        check=True,
    )  # fmt: skip
    assert "are not read" not in done.stderr
    (found,) = read_cells(tmp_path / "a")
    read = [done.energy_j for done in found.rounds]
    assert all(energy_j is None for energy_j in read) == (gpu.energy_j() is None)
    assert all(energy_j is None or energy_j >= 0 for energy_j in read)
    assert all(time_s <= found.conditions.wall_s + 1 for time_s in found.conditions.throttled_s.values())
