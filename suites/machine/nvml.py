"""The GPU as its driver sees it (NVML, by the package nvidia-ml-py): energy, what slows it, clocks and power limit.

Readings are taken between rounds. Nothing is sampled inside a round and no thread runs: energy and the times for which
the GPU was slowed are counters of the driver, so that two readings tell what happened between them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

COUNTED = {"power cap": (0, 74), "heat": (1, 75)}
"""Reasons for which the driver counts the time that they slowed the GPU: (policy, field) in nvml.h.

These are NVML_PERF_POLICY_* and NVML_FI_DEV_PERF_POLICY_* of power and heat. Fields of their own for heat by software,
heat by hardware and power brake are left alone: nvml.h has changed their numbers, so that a driver may take the number
that an installed nvidia-ml-py knows for that of another field.
"""
SM, MEMORY = 1, 2
"""NVML_CLOCK_SM and NVML_CLOCK_MEM."""
INSTALL = "pip install 'decodebench[cuda]'"


class Gpu:
    """One GPU under NVML. Each reading is None where the driver does not give it."""

    def __init__(self, nvml: Any, uuid: str) -> None:
        """Find the GPU by the UUID that torch gives, without prefix, which CUDA_VISIBLE_DEVICES does not change.

        The UUID of a MIG device stands for the whole GPU that the device is a part of: energy, clocks and what slows it
        are not known of a part. ``nvml`` is the module pynvml. Raises its NVMLError if the driver cannot be asked or
        does not know the UUID.
        """
        nvml.nvmlInit()
        self._nvml = nvml
        try:
            self._handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except nvml.NVMLError:
            part = nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
            self._handle = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)

    def _read(self, function: str, *arguments: Any) -> Any:
        """What a function of NVML says of this GPU; None where it fails, or where this version does not have it."""
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None

    def energy_j(self) -> float | None:
        """Joules that the whole GPU has taken since its driver was loaded. The counter moves every 20 to 100 ms."""
        millijoules = self._read("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules * 1e-3

    def slowed_s(self) -> dict[str, float]:
        """Seconds for which each reason of ``COUNTED`` has slowed the GPU so far, without those that are not counted.

        The time is that during which the clocks were lower than those asked for.
        """
        counted = {reason: self._counted_ns(policy, field) for reason, (policy, field) in COUNTED.items()}
        return {reason: ns * 1e-9 for reason, ns in counted.items() if ns is not None}

    def _counted_ns(self, policy: int, field: int) -> int | None:
        """Nanoseconds, from the function of older drivers or, where it has gone, from the field of newer ones."""
        status = self._read("nvmlDeviceGetViolationStatus", policy)
        if status is not None:
            return int(status.violationTime)
        for value in self._read("nvmlDeviceGetFieldValues", [field]) or ():
            if value.nvmlReturn == self._nvml.NVML_SUCCESS:
                return int(value.value.ullVal)
        return None

    def slowed_by(self) -> int:
        """Bits of NVML's clock event reasons at this moment (``throttling.THROTTLE`` names them); 0 if unknown."""
        for function in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            if (mask := self._read(function)) is not None:
                return int(mask)
        return 0

    def facts(self) -> dict[str, Any]:
        """Driver, clocks in MHz (now and at most), power limit in watts, whether the driver stays loaded when idle."""
        limit_mw = self._read("nvmlDeviceGetEnforcedPowerLimit")
        persistence = self._read("nvmlDeviceGetPersistenceMode")
        return {
            "driver": self._driver(),
            "sm_mhz": self._read("nvmlDeviceGetClockInfo", SM),
            "sm_mhz_max": self._read("nvmlDeviceGetMaxClockInfo", SM),
            "memory_mhz": self._read("nvmlDeviceGetClockInfo", MEMORY),
            "memory_mhz_max": self._read("nvmlDeviceGetMaxClockInfo", MEMORY),
            "power_limit_w": None if limit_mw is None else limit_mw * 1e-3,
            "persistence": None if persistence is None else bool(persistence),
        }

    def _driver(self) -> str | None:
        try:
            return str(self._nvml.nvmlSystemGetDriverVersion())
        except self._nvml.NVMLError:
            return None


NOT_READ: dict[str, Any] = dict.fromkeys(
    ("driver", "sm_mhz", "sm_mhz_max", "memory_mhz", "memory_mhz_max", "power_limit_w", "persistence")
)
"""``Gpu.facts`` where NVML cannot be asked."""


@cache
def _opened() -> tuple[Gpu | None, str]:
    """(the first CUDA device of this process, ""), or (None, why NVML cannot be asked, with the remedy)."""
    try:
        import pynvml
    except ImportError:
        return None, f"nvidia-ml-py is not installed; {INSTALL}"
    try:
        return Gpu(pynvml, str(torch.cuda.get_device_properties(0).uuid)), ""
    except pynvml.NVMLError as error:
        return None, f"NVML says {str(error)!r}; make sure that nvidia-smi works here, also inside a container"


def gpu() -> Gpu | None:
    """The first CUDA device of this process under NVML; None where NVML cannot be asked. Needs a CUDA device."""
    return _opened()[0]


def why_no_nvml() -> str:
    """Why ``gpu`` is None, with the remedy; "" if it is not. Needs a CUDA device."""
    return _opened()[1]
