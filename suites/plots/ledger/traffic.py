"""The picture of the bytes that a step moves, by role, stacked against k."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ...ledger.column import APPEND
from ...ledger.copies import BEAM_ROLES, READ_ROLES
from . import stacks
from .panels import beams_of, prefilled

NAME = "bytes_by_role"
UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_WRITES_KV = ("cross.kv", "cross.k", "cross.v", APPEND, *READ_ROLES, *BEAM_ROLES)


def moved_bytes(ledger: pd.DataFrame) -> pd.Series:
    """Bytes that each row of the ledger must move.

    Every product reads its weight, or K or V. A product or copy that makes or moves K and V also counts what it reads
    and writes for that. Other activations are left out. The sum over a step equals that of ``role_bytes`` in
    ``strategies/models/traffic.py``.
    """
    both = ledger["input_bytes"] + ledger["output_bytes"]
    return ledger["operand_bytes"] + both.where(ledger["role"].isin(_WRITES_KV), 0)


def draw(ledger: pd.DataFrame, src_len: int) -> tuple[Figure, str]:
    """Return the figure and its caption."""
    left_out = "activations, and the pass of prefill over a prefix," if prefilled(ledger, src_len) else "activations"
    foot = f"Weights, and K/V read, written and copied; {left_out} left out."
    beams = (
        " With beams, what is copied before the step as they are reordered has an area of its own."
        if beams_of(ledger) > 1
        else ""
    )
    drawn = stacks.drawn(ledger, src_len, moved_bytes(ledger), stacks.Quantity("moves", "bytes", UNITS), foot)
    return drawn, (
        "What a decode step must move between memory and processor, by role, against k. Projections, feed-forward"
        " and LM head read their weights, which have one size at every step however many rows they serve; self-"
        "attention's scores and context read K and V, which grow with every token unless a whole buffer is read; "
        "cross-attention's depend on the source alone. Where K and V grow by concatenation, the old "
        f"rows are also read and written again at each step: the area of append and copies.{beams} Counted are "
        "weights, K and V read, new K and V written, and copies; other activations stay in the processor's caches and "
        "are left out."
    )
