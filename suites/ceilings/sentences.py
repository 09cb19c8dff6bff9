"""Words for how near a case came to its floor, from a row of the table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from ..words.quantity import percent

MIXED = 1.01
"""Times ``mbu`` and ``mfu`` from which on ``floor_fraction`` shows that both bytes and FLOPs are bounds."""


def limit(row: Mapping[Hashable, Any]) -> str:
    """Name what sets the floor of decoding: "FLOPs" or "bytes", whichever takes longer over all steps.

    >>> limit({"mbu": 0.3, "mfu": 0.03})
    'bytes'
    """
    return "FLOPs" if row["mfu"] > row["mbu"] else "bytes"


def is_mixed(row: Mapping[Hashable, Any]) -> bool:
    """Whether bytes set the floor of some steps and FLOPs that of others, so that the floor is above either alone.

    >>> is_mixed({"floor_fraction": 0.26, "mbu": 0.2, "mfu": 0.23})
    True
    """
    return bool(row["floor_fraction"] > MIXED * max(row["mbu"], row["mfu"]))


def share(row: Mapping[Hashable, Any], of: str = "") -> str:
    """Say what percentage of its floor a case reached and what sets the floor: "bytes" or "FLOPs".

    "bytes, cached" means that a cache serves some steps, for which the floor by bytes is no limit.

    >>> share({"floor_fraction": 0.284, "mbu": 0.284, "mfu": 0.03, "cache_resident": 0.0}, " of its limit")
    '28 % of its limit (bytes)'
    """
    served = ", cached" if limit(row) == "bytes" and row["cache_resident"] > 0 else ""
    return f"{percent(row['floor_fraction'])}{of} ({limit(row)}{served})"
