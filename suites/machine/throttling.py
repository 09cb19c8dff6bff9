"""What slows a GPU while rounds are measured: nvidia-smi, asked twice a second by a process of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile

THROTTLE = {
    0x04: "power cap", 0x08: "hardware slowdown", 0x20: "heat (software)", 0x40: "heat (hardware)",
    0x80: "power brake (hardware)",
}  # fmt: skip
"""Bits of NVML's clock event reasons (nvml.h) that slow a busy GPU; the others are settings, or that it is idle."""
EVERY_MS = 500


def throttle_reasons(mask: int) -> list[str]:
    """The names of the bits of ``clocks_throttle_reasons.active``.

    >>> throttle_reasons(0x41), throttle_reasons(0x1)
    (['heat (hardware)'], [])
    """
    return [name for bit, name in THROTTLE.items() if mask & bit]


class GpuWatch:
    """From its making to ``ended``. An idle GPU is slowed by nothing, so it must be asked while it works."""

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
        """Everything that slowed it since; nothing where nvidia-smi is not there or does not tell."""
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
