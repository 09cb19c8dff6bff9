"""How near to its floor a case came, in words, from rows of the table."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd


def share(row: Mapping[Hashable, Any], of: str = "") -> str:
    """Percent of the limit, and which limit it is: bytes, FLOPs, or bytes that a cache serves, which is none.

    >>> share({"floor_fraction": 0.284, "mbu": 0.284, "mfu": 0.03, "cache_resident": 0.0}, " of its limit")
    '28 % of its limit (bytes)'
    """
    limit = "FLOPs" if row["mfu"] > row["mbu"] else "bytes, cached" if row["cache_resident"] > 0 else "bytes"
    return f"{100 * row['floor_fraction']:.2g} %{of} ({limit})"


def limits(rows: pd.DataFrame) -> list[str]:
    """A sentence a batch, about its longest case: each strategy's share, the highest first. None without ceilings."""
    known = rows[(rows["status"] == "ok") & rows["floor_fraction"].notna()]
    sentences = []
    for batch, cases in known.groupby("batch_size"):
        for column in ("tgt_len", "src_len"):
            cases = cases[cases[column] == cases[column].max()]
        ordered = cases.sort_values("floor_fraction", ascending=False).to_dict("records")
        shares = ", ".join(f"{row['strategy']} {share(row)}" for row in ordered)
        case = ordered[0]
        sentences.append(
            f"of the limit of this machine, batch {batch}, {case['src_len']} -> {case['tgt_len']}: {shares}"
        )
    return sentences
