"""How many cores other processes used, and from how many on that is called a load."""

from __future__ import annotations

import math

LOAD_CORES, LOAD_SHARE = 0.25, 0.05
"""Cores, or share of all cores, that other processes may use before they are called a load; the greater one counts."""
COARSE_S = 0.03
"""Error, in seconds, of the CPU time that other processes seem to have used: three standard deviations of one pair of
readings. The kernel counts each kind of use in hundredths of a second. For n pairs the error is sqrt(n) times as large.
"""


def others_load(
    wall_s: float, own_cpu_s: float, busy_cpu_s: float | None, machine_cores: int, readings: int = 1
) -> float:
    """Number of cores that other processes used, on average over ``wall_s`` seconds.

    It is 0 where that is too little to be called a load, or could be the error of ``readings`` pairs of readings.

    >>> others_load(1.0, 1.0, 1.1, 2), others_load(1.0, 1.0, 3.0, 2), others_load(1.0, 1.0, None, 2)
    (0.0, 2.0, 0.0)
    >>> others_load(0.05, 0.05, 0.09, 2), others_load(0.5, 0.5, 1.0, 2, readings=8)
    (0.0, 1.0)
    """
    if busy_cpu_s is None or wall_s <= 0:
        return 0.0
    others_s = busy_cpu_s - own_cpu_s
    limit = max(LOAD_CORES, LOAD_SHARE * machine_cores)
    return others_s / wall_s if others_s - COARSE_S * math.sqrt(readings) > limit * wall_s else 0.0
