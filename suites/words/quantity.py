"""Figures written for people: a few significant digits, a prefix and the unit."""

from __future__ import annotations

import math


def quantity(value: float, unit: str) -> str:
    """Write three significant digits with a prefix and the unit; prefixes of bytes ("B") are powers of 1024.

    Returns "" for None and NaN.

    >>> quantity(0.00123, "s"), quantity(1536, "B"), quantity(2.5e9, "FLOPs")
    ('1.23 ms', '1.50 KiB', '2.50 GFLOPs')
    >>> quantity(1234.5, "s"), quantity(0.00099996, "s")
    ('1234 s', '1 ms')
    """
    if value is None or math.isnan(value):
        return ""
    if unit == "s":
        for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")):
            if value >= 0.9995 * scale or name == "ns":  # 0.9996 ms is 1 ms in three digits, not 1e+03 µs
                return f"{value / scale:{'.0f' if value >= 999.5 else '.3g'}} {name}"
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


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun, and with its plural where that is not made by an s.

    >>> counted(1, "cell"), counted(2, "cell"), counted(2, "batch", "batches")
    ('1 cell', '2 cells', '2 batches')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {plural or f'{noun}s'}"


def percent(share: float) -> str:
    """Write a share as a percentage: whole percents from 10 % on, two significant digits below.

    >>> percent(0.314), percent(0.0012), percent(1.0), percent(1.28)
    ('31 %', '0.12 %', '100 %', '128 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.2g} %"
