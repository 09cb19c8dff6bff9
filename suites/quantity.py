"""Figures for people: three significant digits, a prefix and the unit."""

from __future__ import annotations

import math


def quantity(value: float, unit: str) -> str:
    """Three significant digits with a prefix: 0.00123 s -> 1.23 ms; bytes go by 1024, the rest by 1000.

    >>> quantity(0.00123, "s"), quantity(1536, "B"), quantity(2.5e9, "FLOPs")
    ('1.23 ms', '1.50 KiB', '2.50 GFLOPs')
    """
    if value is None or math.isnan(value):
        return ""
    if unit == "s":
        for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if value >= scale:
                return f"{value / scale:.3g} {name}"
        return f"{value / 1e-9:.3g} ns"
    base, prefixes = (1024, ["", "Ki", "Mi", "Gi", "Ti"]) if unit == "B" else (1000, ["", "k", "M", "G", "T", "P"])
    for prefix in prefixes:
        if value < base or prefix == prefixes[-1]:
            return (
                f"{value:.0f} {unit}"
                if not prefix
                else f"{value:.{max(0, 2 - int(math.log10(value)))}f} {prefix}{unit}"
            )
        value /= base
    return ""
