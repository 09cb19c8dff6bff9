"""Watch for GPU throttling while rounds are measured: nvidia-smi reports twice per second, as a process of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile

THROTTLE = {
    0x04: "power cap", 0x08: "hardware slowdown", 0x20: "heat (software)", 0x40: "heat (hardware)",
    0x80: "power brake (hardware)",
}  # fmt: skip
"""Bits of NVML's clock event reasons (nvml.h) that slow a busy GPU; the other bits are settings or mean an idle GPU."""
EVERY_MS = 500
"""Milliseconds between two readings."""


def throttle_reasons(mask: int) -> list[str]:
    """Name the bits of ``clocks_throttle_reasons.active`` that slow a busy GPU.

    >>> throttle_reasons(0x41), throttle_reasons(0x1)
    (['heat (hardware)'], [])
    """
    return [name for bit, name in THROTTLE.items() if mask & bit]


class GpuWatch:
    """Records what slows a GPU, from construction until ``ended``.

    Nothing slows an idle GPU, so the driver must be asked while the GPU works.
    """

    def __init__(self, uuid: str) -> None:
        self._log = tempfile.TemporaryFile("w+")
        self._process: subprocess.Popen[str] | None = None
        program = shutil.which("nvidia-smi")
        if program is not None:
            query = ["--query-gpu=clocks_throttle_reasons.active", "--format=csv,noheader,nounits"]
            with contextlib.suppress(OSError):
                self._process = subprocess.Popen(
                    [program, "-i", f"GPU-{uuid}", *query, "-lms", str(EVERY_MS)],
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )

    def ended(self) -> list[str]:
        """Stop watching and name everything that slowed the GPU; empty where nvidia-smi is absent or does not say."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.seek(0)
        mask = 0
        for line in self._log:
            with contextlib.suppress(ValueError):
                mask |= int(line.strip(), 16)
        self._log.close()
        return throttle_reasons(mask)
