"""How near to its floor a case came, in words, from rows of the table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any


def share(row: Mapping[Hashable, Any], of: str = "") -> str:
    """Percent of the limit, and which limit it is: bytes, FLOPs, or bytes that a cache serves, which is none.

    >>> share({"floor_fraction": 0.284, "mbu": 0.284, "mfu": 0.03, "cache_resident": 0.0}, " of its limit")
    '28 % of its limit (bytes)'
    """
    limit = "FLOPs" if row["mfu"] > row["mbu"] else "bytes, cached" if row["cache_resident"] > 0 else "bytes"
    return f"{100 * row['floor_fraction']:.2g} %{of} ({limit})"
