"""A stand-in for pynvml: one GPU whose counters rise as a test says, and which supports what a test leaves it."""

from types import SimpleNamespace

UUID = "6c1bd3f2-0000-1111-2222-333344445555"


class NVMLError(Exception):
    """As pynvml's: the base of all its errors."""


class NotSupportedError(NVMLError):
    """As pynvml's NVMLError_NotSupported."""

    def __str__(self):
        return "Not Supported"


class Driver:
    """The module pynvml, as far as it is asked. ``without`` names functions that this GPU or driver does not support.

    ``removed`` are functions that this version of the module does not have. ``mig``: the UUID is that of a part of the
    GPU. ``reading`` is called at each reading, with the name of the function.
    """

    NVML_SUCCESS = 0
    NVMLError = NVMLError

    def __init__(self, without=(), removed=(), mig=False, reading=lambda name: None):
        self.without, self.removed, self.mig, self.reading = set(without), set(removed), mig, reading
        self.energy_mj, self.power_ns, self.heat_ns, self.reasons = 5_000_000, 7_000_000_000, 0, 0
        self.asked = []

    def __getattr__(self, name):
        if not name.startswith("nvml") or name in self.__dict__.get("removed", ()):
            raise AttributeError(name)
        real = object.__getattribute__(self, f"_{name}")

        def function(*arguments):
            self.asked.append((name, *arguments))
            self.reading(name)
            if name in self.without:
                raise NotSupportedError
            return real(*arguments)

        return function

    def _nvmlInit(self):
        pass

    def _nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid != f"{'MIG' if self.mig else 'GPU'}-{UUID}":
            raise NVMLError("Not Found")
        return "part" if self.mig else "whole"

    def _nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        assert handle == "part"
        return "whole"

    def _nvmlSystemGetDriverVersion(self):
        return "580.95.05"

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle):
        assert handle == "whole"
        return self.energy_mj

    def _nvmlDeviceGetViolationStatus(self, handle, policy):
        return SimpleNamespace(referenceTime=1, violationTime=[self.power_ns, self.heat_ns][policy])

    def _nvmlDeviceGetFieldValues(self, handle, fields):
        known = {74: self.power_ns, 75: self.heat_ns}
        return [
            SimpleNamespace(nvmlReturn=0 if field in known else 3, value=SimpleNamespace(ullVal=known.get(field, 99)))
            for field in fields
        ]

    def _nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        return self.reasons

    _nvmlDeviceGetCurrentClocksThrottleReasons = _nvmlDeviceGetCurrentClocksEventReasons

    def _nvmlDeviceGetClockInfo(self, handle, clock):
        return {1: 1755, 2: 2619}[clock]

    def _nvmlDeviceGetMaxClockInfo(self, handle, clock):
        return {1: 1980, 2: 2619}[clock]

    def _nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 700_000

    def _nvmlDeviceGetPersistenceMode(self, handle):
        return 1


EVERYTHING = {name[1:] for name in vars(Driver) if name.startswith("_nvmlDeviceGet")} - {
    "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetDeviceHandleFromMigDeviceHandle"
}  # fmt: skip
"""Every reading that a GPU may not support."""
