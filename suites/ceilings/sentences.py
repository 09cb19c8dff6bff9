"""How near to its floor a case came, in words, from rows of the table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from ..words.quantity import percent


def limit(row: Mapping[Hashable, Any]) -> str:
    """Which of the two makes the floor of the row's decode step: "FLOPs" or "bytes".

    >>> limit({"mbu": 0.3, "mfu": 0.03})
    'bytes'
    """
    return "FLOPs" if row["mfu"] > row["mbu"] else "bytes"


def share(row: Mapping[Hashable, Any], of: str = "") -> str:
    """Percent of the limit, and which limit it is: bytes, FLOPs, or bytes that a cache serves, which is none.

    >>> share({"floor_fraction": 0.284, "mbu": 0.284, "mfu": 0.03, "cache_resident": 0.0}, " of its limit")
    '28 % of its limit (bytes)'
    """
    served = ", cached" if limit(row) == "bytes" and row["cache_resident"] > 0 else ""
    return f"{percent(row['floor_fraction'])}{of} ({limit(row)}{served})"
