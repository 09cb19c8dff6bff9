"""The rounds of a case as a row of bars, in which a disturbed round stands out."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

BARS = "▁▂▃▄▅▆▇█"
LONGEST = 12
"""Greatest number of bars; of more rounds, each bar shows the slowest of several that follow one another."""
LOW, HIGH = 0.75, 1.5
"""Times that the lowest and the highest bar stand for, as multiples of the case's median."""


def sparkline(times_s: Sequence[float]) -> str:
    """Draw one bar per round. The scale is the same for every case, so quiet rounds are an even row.

    >>> sparkline([1.0, 1.0, 1.6, 1.0, 0.9]), sparkline([])
    ('▃▃█▃▂', '')
    """
    if not times_s:
        return ""
    size = -(-len(times_s) // LONGEST)
    worst = [max(times_s[start : start + size]) for start in range(0, len(times_s), size)]
    usual = median(times_s)
    places = [(time / usual - LOW) / (HIGH - LOW) * (len(BARS) - 1) for time in worst]
    return "".join(BARS[min(max(round(place), 0), len(BARS) - 1)] for place in places)
