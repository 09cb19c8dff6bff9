"""Our model compared with another implementation of it: which matrix products are the same, and which are not."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from ..work.role_names import in_model_order
from .column import at_step
from .expected import TRAINING
from .transformers_t5 import DYNAMIC, NO_CACHE, STATIC
from .view import Sheet

OURS = ("full_recompute", "contiguous_kv", "static_kv(read=buffer)")
PAIRS = ((TRAINING, TRAINING), *zip(OURS, (NO_CACHE, DYNAMIC, STATIC), strict=True))
"""(strategy of this project, way of transformers that does the same)."""


def packed(role: str) -> str:
    """Return the product of our model that contains this one, because ours packs several into one.

    >>> packed("self.k"), packed("cross.v"), packed("ffn.wi_1"), packed("cross.q")
    ('self.qkv', 'cross.kv', 'ffn.wi', 'cross.q')
    """
    role = re.sub(r"self\.[qkv]$", "self.qkv", re.sub(r"cross\.[kv]$", "cross.kv", role))
    return re.sub(r"wi_[01]$", "wi", role)


def _of(ledger: pd.DataFrame, strategy: str) -> pd.DataFrame:
    """Table by packed role: FLOPs in the whole model, number of products, and when they run; all phases together."""
    mine = ledger[(ledger["strategy"] == strategy) & (ledger["kind"] != "copy")]
    work = mine.assign(role=mine["role"].map(packed), flops=mine["flops"] * mine["count"])
    return work.groupby("role").agg({"flops": "sum", "count": "sum", "when": "first"})


def comparison(ours: pd.DataFrame, theirs: pd.DataFrame, k: int, src_len: int) -> Sheet:
    """Table of roles by pairs: ``=``, or how much work theirs is, and in how many products for one of ours."""
    tables = [(_of(at_step(ours, k, src_len), a), _of(at_step(theirs, k, src_len), b)) for a, b in PAIRS]
    roles = in_model_order(role for pair in tables for table in pair for role in table.index)
    rows = [[role, *(_verdict(role, mine, other) for mine, other in tables)] for role in roles]
    return Sheet(
        f"transformers' products beside ours, at k = {k}",
        ["product", *(str(number) for number in range(1, len(PAIRS) + 1))],
        rows,
        "= the same FLOPs in as many products; 3 for 1: three products where ours is packed into one; 8x: eight times "
        "the FLOPs.",
        [f"{number}  {b}" + (f", beside {a}" if a != b else "") for number, (a, b) in enumerate(PAIRS, 1)],
    )


def _verdict(role: str, mine: pd.DataFrame, other: pd.DataFrame) -> str:
    if role not in mine.index or role not in other.index:
        return "theirs only" if role in other.index else "ours only" if role in mine.index else ""
    a, b = mine.loc[role], other.loc[role]
    words = []
    if a["when"] != b["when"]:
        words.append(f"{b['when']}, ours {a['when']}")
    if a["flops"] != b["flops"]:
        words.append(f"{b['flops'] / a['flops']:.3g}x")
    if a["count"] != b["count"]:
        words.append(f"{b['count'] / a['count']:g} for 1")
    return ", ".join(words) or "="


def differences(sheet: Sheet) -> str:
    """One sentence that says what is the same and what is not."""
    other = [row for row in sheet.rows if any(cell not in ("=", "") for cell in row[1:])]
    split = [row[0] for row in other if all(re.fullmatch(r"=||\d+ for 1", cell) for cell in row[1:])]
    more = [f"{row[0]} ({_names(row)})" for row in other if row[0] not in split]
    parts = [f"{len(sheet.rows) - len(other)} of {len(sheet.rows)} roles are the same product for product"]
    if split:
        parts.append(f"{', '.join(split)} take the same FLOPs in more products, which ours packs into one")
    if more:
        parts.append(f"different: {'; '.join(more)}")
    return "; ".join(parts) + "."


def _names(row: Sequence[str]) -> str:
    pairs = zip(row[1:], PAIRS, strict=True)
    return ", ".join(
        f"{cell} in {their}" for cell, (_, their) in pairs if cell not in ("=", "") and "for 1" != cell[2:]
    )
