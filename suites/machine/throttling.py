"""What slowed a GPU while rounds were measured, read between rounds (``nvml``)."""

from __future__ import annotations

from .nvml import Gpu

THROTTLE = {
    0x04: "power cap", 0x08: "hardware slowdown", 0x20: "heat (software)", 0x40: "heat (hardware)",
    0x80: "power brake (hardware)",
}  # fmt: skip
"""Bits of NVML's clock event reasons (nvml.h) that slow a busy GPU; the other bits are settings or mean an idle GPU."""
COUNTED_BITS = {"power cap": 0x04, "heat": 0x20 | 0x40}
"""The bits that a counter of ``nvml.COUNTED`` makes unnecessary, since the counter misses nothing between readings."""


def throttle_reasons(mask: int) -> list[str]:
    """Name the bits of NVML's clock event reasons that slow a busy GPU.

    >>> throttle_reasons(0x41), throttle_reasons(0x1)
    (['heat (hardware)'], [])
    """
    return [name for bit, name in THROTTLE.items() if mask & bit]


class GpuWatch:
    """Notes what slows a GPU, from construction until ``ended``.

    Power and heat are told by the driver's counters. What the driver does not count, be it the other reasons or all of
    them on a GPU without these counters, is told by the reasons that hold right after a round: nothing slows an idle
    GPU, so what comes and goes within a round is missed.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._before, self._mask = gpu, gpu.slowed_s(), 0

    def after_round(self) -> None:
        """Note what slows the GPU now, right after a round."""
        self._mask |= self._gpu.slowed_by()

    def ended(self) -> tuple[list[str], dict[str, float]]:
        """Return (everything that slowed the GPU, the seconds for which it did so where the driver counts them)."""
        after = self._gpu.slowed_s()
        slowed_s = {reason: after[reason] - before for reason, before in self._before.items() if reason in after}
        uncounted = self._mask
        for reason in slowed_s:
            uncounted &= ~COUNTED_BITS[reason]
        found = {reason: time_s for reason, time_s in slowed_s.items() if time_s > 0}
        return [*found, *throttle_reasons(uncounted)], found
