"""Bytes that a recorded decode step moved, by role, to compare with the formula of ``strategies/models/traffic.py``."""

from __future__ import annotations

from collections import defaultdict

from strategies.models.costs import CROSS_READ
from strategies.models.traffic import StepBytes

from .recording import Recording
from .stored_rows import Rows

APPEND = "decoder.self_attn.append"
SELECT = ("decoder.self_attn.select", "decoder.cross_attn.select")
"""Roles in which beams are reordered."""


def role_bytes(recording: Recording) -> dict[str, StepBytes]:
    """Bytes that one recorded decode step of this package's model moved, by role, as the formula defines them.

    Weights and K/V are read as operands of the recorded products. New rows of K and V are written, each row that a
    store copied was read once and written once, and each that it expanded was read as it persists and written as it is
    attended. What beams reordered before the step counts if it was recorded too.
    """
    found: defaultdict[str, StepBytes] = defaultdict(StepBytes)
    for done in recording.products:
        role = done.product.role
        if role in ("decoder.self_attn.scores", "decoder.self_attn.context"):
            found[role] += StepBytes(self_kv=done.operand_bytes)
        elif role in ("decoder.cross_attn.scores", "decoder.cross_attn.context", f"{CROSS_READ}.scores"):
            found[role] += StepBytes(cross_kv=done.operand_bytes)
        elif not done.product.is_attention:
            found[role] += StepBytes(weights=done.operand_bytes)
        if role == "decoder.cross_attn.kv":
            found[role] += StepBytes(cross_kv=done.input_bytes + done.output_bytes)
    own = store_rows(recording, APPEND)
    found[APPEND] = StepBytes(self_kv=own.new, copies=2 * own.copied + own.expanded_read + own.expanded_written)
    if moved := store_rows(recording, CROSS_READ).copied:
        found[CROSS_READ] = StepBytes(copies=2 * moved)
    for copy in recording.copies:
        if copy.role in SELECT:
            found[copy.role] += StepBytes(copies=2 * copy.written_bytes)
    return dict(found)


def store_rows(recording: Recording, role: str) -> Rows:
    """Bytes of rows of K and V, in all layers, that stores took, copied and expanded in the calls of this role.

    New rows that no operator of a store takes lie as the packed product of Q, K and V wrote them.
    """
    records = [record.rows for record in recording.rows if record.role == role]
    found = Rows(*map(sum, zip(Rows(), *records, strict=True)))
    return found._replace(new=_projected_bytes(recording)) if role == APPEND and not found.new else found


def _projected_bytes(recording: Recording) -> int:
    """Bytes of the T new rows of self-attention K and V: the output of the packed product of Q, K and V, without Q.

    Q is as wide as the input of the output projection.
    """
    packed = [r for r in recording.products if r.product.role == "decoder.self_attn.qkv"]
    q_width = next(r.product.inner for r in recording.products if r.product.role == "decoder.self_attn.out")
    return sum(r.output_bytes * (r.product.cols - q_width) // r.product.cols for r in packed)


def step_bytes(recording: Recording) -> StepBytes:
    """The sum of ``role_bytes`` over roles, to compare with ``strategies.models.traffic.step_bytes``."""
    return sum(role_bytes(recording).values(), StepBytes())
