"""Bytes that a recorded decode step moved, by role, to compare with the formula of ``strategies/models/traffic.py``."""

from __future__ import annotations

from collections import defaultdict

from strategies.models.traffic import StepBytes

from .products import Recording

SELECT = ("decoder.self_attn.select", "decoder.cross_attn.select")
"""Roles in which beams are reordered."""


def role_bytes(recording: Recording) -> dict[str, StepBytes]:
    """Bytes that one recorded decode step of this package's model moved, by role, as the formula defines them.

    Weights and K/V are read as operands of the recorded products. New rows of K and V are written, and each row that a
    store copied was read once and written once. What beams reordered before the step counts if it was recorded too.
    """
    found: defaultdict[str, StepBytes] = defaultdict(StepBytes)
    for done in recording.products:
        role = done.product.role
        if role in ("decoder.self_attn.scores", "decoder.self_attn.context"):
            found[role] += StepBytes(self_kv=done.operand_bytes)
        elif role in ("decoder.cross_attn.scores", "decoder.cross_attn.context"):
            found[role] += StepBytes(cross_kv=done.operand_bytes)
        elif not done.product.is_attention:
            found[role] += StepBytes(weights=done.operand_bytes)
        if role == "decoder.cross_attn.kv":
            found[role] += StepBytes(cross_kv=done.input_bytes + done.output_bytes)
    found["decoder.self_attn.append"] = StepBytes(self_kv=new_bytes(recording), copies=2 * copied_bytes(recording))
    for copy in recording.copies:
        if copy.role in SELECT:
            found[copy.role] += StepBytes(copies=2 * copy.written_bytes)
    return dict(found)


def new_bytes(recording: Recording) -> int:
    """Bytes of the T new rows of self-attention K and V: the output of the packed product of Q, K and V, without Q.

    Q is as wide as the input of the output projection.
    """
    packed = [r for r in recording.products if r.product.role == "decoder.self_attn.qkv"]
    q_width = next(r.product.inner for r in recording.products if r.product.role == "decoder.self_attn.out")
    return sum(r.output_bytes * (r.product.cols - q_width) // r.product.cols for r in packed)


def copied_bytes(recording: Recording) -> int:
    """Bytes of K and V that stores copied to make room: those written in ``append`` beyond the new rows themselves."""
    written = sum(copy.written_bytes for copy in recording.copies if copy.role == "decoder.self_attn.append")
    return max(0, written - new_bytes(recording))


def step_bytes(recording: Recording) -> StepBytes:
    """The sum of ``role_bytes`` over roles, to compare with ``strategies.models.traffic.step_bytes``."""
    return sum(role_bytes(recording).values(), StepBytes())
