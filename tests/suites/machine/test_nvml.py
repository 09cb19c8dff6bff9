"""What the driver tells of a GPU, by a stand-in for pynvml: counters that rise, and whatever a GPU does not support."""

import json

import pytest
import torch

from suites.machine import nvml
from suites.machine.environment import environment
from suites.machine.nvml import NOT_READ, Gpu
from suites.machine.throttling import THROTTLE, GpuWatch, throttle_reasons
from suites.measuring.conditions import Watch
from suites.reporting.environment import environment_lines
from suites.settings.config import RunConfig
from suites.store.environment_entries import GpuEntry
from suites.store.files import write_json
from suites.store.schema import read_environment
from suites.telling.beforehand import told

from ...command import ROOT
from .nvml_stand_in import EVERYTHING, UUID, Driver, NVMLError

COUNTERS = {"nvmlDeviceGetViolationStatus", "nvmlDeviceGetFieldValues"}
PRONOUNCE = {"name": "pronounce", "source": "pronounce"}


def watched(driver, happens):
    """What a watch says after ``happens(driver)`` and a round."""
    watch = GpuWatch(Gpu(driver, UUID))
    happens(driver)
    watch.after_round()
    driver.reasons = 0
    return watch.ended()


def test_every_bit_that_slows_a_gpu_has_a_name_and_the_others_none():
    assert throttle_reasons(sum(THROTTLE)) == list(THROTTLE.values())
    assert throttle_reasons(0x1 | 0x2 | 0x10 | 0x100) == []


@pytest.mark.parametrize(
    "driver",
    [Driver(), Driver(without={"nvmlDeviceGetViolationStatus"}), Driver(removed={"nvmlDeviceGetViolationStatus"})],
    ids=["by the function", "by the field", "by the field, where the function has gone"],
)
def test_counters_say_what_slowed_the_gpu_and_for_how_long_although_it_was_over_when_they_were_read(driver):
    def slowed(driver):
        driver.power_ns += 1_500_000_000

    assert watched(driver, slowed) == (["power cap"], {"power cap": pytest.approx(1.5)})
    assert watched(driver, lambda driver: None) == ([], {})


def test_a_reason_that_is_counted_is_told_by_its_counter_alone():
    def looks_slow(driver):
        driver.reasons = sum(THROTTLE)
        driver.heat_ns += 10**9

    reasons, slowed_s = watched(Driver(), looks_slow)
    assert reasons == ["heat", "hardware slowdown", "power brake (hardware)"]
    assert slowed_s == {"heat": pytest.approx(1.0)}


@pytest.mark.parametrize("removed", [(), ("nvmlDeviceGetCurrentClocksEventReasons",)])
def test_without_counters_the_reasons_right_after_a_round_are_told_without_a_time(removed):
    def slow(driver):
        driver.reasons = 0x4 | 0x20 | 0x1

    assert watched(Driver(COUNTERS, removed), slow) == (["power cap", "heat (software)"], {})


def test_a_counter_that_starts_anew_tells_nothing():
    def reloaded(driver):
        driver.power_ns = 0

    assert watched(Driver(), reloaded) == ([], {})


def test_what_a_gpu_does_not_support_is_not_known_and_no_error():
    driver = Driver(without=EVERYTHING | {"nvmlSystemGetDriverVersion"})
    gpu = Gpu(driver, UUID)
    assert (gpu.energy_j(), gpu.slowed_s(), gpu.slowed_by()) == (None, {}, 0)
    assert gpu.facts() == NOT_READ
    assert watched(driver, lambda driver: None) == ([], {})


@pytest.mark.parametrize("missing", sorted(EVERYTHING))
def test_each_reading_that_fails_leaves_the_others(missing):
    every, fewer = Gpu(Driver(), UUID), Gpu(Driver({missing}), UUID)
    known = {name for name, value in fewer.facts().items() if value is not None}
    assert len(known) >= len(NOT_READ) - 2
    assert {name: every.facts()[name] for name in known} == {name: fewer.facts()[name] for name in known}


def test_the_facts_have_their_units():
    assert Gpu(Driver(), UUID).facts() == {
        "driver": "580.95.05", "sm_mhz": 1755, "sm_mhz_max": 1980, "memory_mhz": 2619, "memory_mhz_max": 2619,
        "power_limit_w": pytest.approx(700.0), "persistence": True,
    }  # fmt: skip
    assert Gpu(Driver(), UUID).energy_j() == pytest.approx(5000.0)


def test_a_mig_device_is_read_as_the_gpu_that_it_is_a_part_of():
    driver = Driver(mig=True)
    assert Gpu(driver, UUID).energy_j() == pytest.approx(5000.0)
    asked = [call[1] for call in driver.asked if call[0] == "nvmlDeviceGetHandleByUUID"]
    assert asked == [f"GPU-{UUID}", f"MIG-{UUID}"]


def test_a_uuid_that_the_driver_does_not_know_is_an_error_of_nvml():
    with pytest.raises(NVMLError, match="Not Found"):
        Gpu(Driver(), UUID[::-1])


def test_nothing_is_said_where_nvml_can_be_asked(h100):
    h100(Driver())
    assert told([RunConfig(model=PRONOUNCE, device="cuda")]) == []


def test_a_missing_package_is_told_once_with_what_to_install(h100):
    h100(None)
    jobs = [RunConfig(model=PRONOUNCE, device=device, seq_len=n) for device in ("cpu", "cuda", "auto") for n in (4, 8)]
    (line,) = told(jobs)
    assert line == (
        "device=cuda: throttling, energy, clocks and power limit of the GPU are not read, as nvidia-ml-py is not "
        "installed; pip install 'decodebench[cuda]'"
    )
    assert told([RunConfig(model=PRONOUNCE, device="cpu")]) == []


def test_a_driver_that_cannot_be_asked_is_told_in_its_words(h100):
    h100(Driver(without={"nvmlInit"}))
    (line,) = told([RunConfig(model=PRONOUNCE, device="cuda")])
    assert "as NVML says 'Not Supported'; " in line


def test_without_a_cuda_device_nothing_is_said_of_it(h100, monkeypatch):
    h100(None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert told([RunConfig(model=PRONOUNCE, device="cuda"), RunConfig(model=PRONOUNCE, device="cpu")]) == []


@pytest.mark.parametrize("driver", [Driver(), None, Driver(EVERYTHING)], ids=["all", "no package", "unsupported"])
def test_the_environment_has_every_key_of_the_gpu_and_is_read_and_shown(driver, h100, tmp_path):
    h100(driver)
    write_json(tmp_path / "environment.json", environment())
    kept = read_environment(tmp_path)
    assert set(kept["gpu"]) == set(GpuEntry.__annotations__)
    assert kept["gpu"]["capability"] == "9.0"
    assert (kept["gpu"]["sms"], kept["gpu"]["l2_bytes"], kept["gpu"]["cudnn"]) == (132, 50 << 20, "91900")
    assert kept["gpu"]["attention_backends"] == ["flash", "efficient", "math"]
    lines = dict(environment_lines(kept))
    assert (lines["GPU"], lines["GPU compute capability"]) == ("NVIDIA H100", "9.0")
    assert lines.get("GPU driver") == (None if driver is None else "580.95.05")
    assert lines.get("GPU clock at the start") == ("1755 of 1980 MHz" if driver and not driver.without else None)


def test_a_watch_of_a_gpu_without_nvml_notes_no_gpu(h100):
    h100(None)
    watch = Watch("cuda")
    seen = watch.conditions("rounds")
    assert (seen.throttled, seen.throttled_s) == ([], {})


def test_the_gpu_of_an_earlier_version_is_shown_as_far_as_it_is_known(tmp_path):
    kept = json.loads((ROOT / "results" / "reference" / "cuda" / "environment.json").read_text())
    kept["gpu"] = {name: kept["gpu"][name] for name in ("name", "memory_bytes", "cuda")}
    (tmp_path / "environment.json").write_text(json.dumps(kept))
    lines = dict(environment_lines(read_environment(tmp_path)))
    assert lines["GPU"] == "NVIDIA H100 80GB HBM3"
    assert [name for name in lines if name.startswith("GPU")] == ["GPU", "GPU memory"]


def test_what_is_asked_is_what_nvidias_package_has():
    pynvml = pytest.importorskip("pynvml", reason="needs nvidia-ml-py, the extra decodebench[cuda]")
    assert [name for name in EVERYTHING if not hasattr(pynvml, name)] == []
    assert (nvml.SM, nvml.MEMORY) == (pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM)
    assert nvml.COUNTED == {
        "power cap": (pynvml.NVML_PERF_POLICY_POWER, pynvml.NVML_FI_DEV_PERF_POLICY_POWER),
        "heat": (pynvml.NVML_PERF_POLICY_THERMAL, pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL),
    }
    names = {
        "power cap": "SwPowerCap", "hardware slowdown": "HwSlowdown", "heat (software)": "SwThermalSlowdown",
        "heat (hardware)": "HwThermalSlowdown", "power brake (hardware)": "HwPowerBrakeSlowdown",
    }  # fmt: skip
    bits = {getattr(pynvml, f"nvmlClocksEventReason{name}"): reason for reason, name in names.items()}
    assert bits == THROTTLE
