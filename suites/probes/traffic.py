"""Bytes that a recorded decode step moved, sorted as ``costs.step_bytes`` predicts them."""

from __future__ import annotations

from strategies.models.costs import StepBytes

from .products import Recording


def step_bytes(recording: Recording) -> StepBytes:
    """What one decode step of this package's model read and wrote, by what it is, as ``costs.step_bytes`` defines it.

    Weights and K/V are the recorded operands of products; the T new rows of K and V are two thirds of what the packed
    product of Q, K and V wrote. Whatever self-attention copied of K and V between that and its scores, beyond the new
    rows themselves, was moved: read once and written once.
    """
    products = recording.products

    def operands(role: str) -> int:
        return sum(r.operand_bytes for r in products if r.product.role in (f"{role}.scores", f"{role}.context"))

    head_size = next(r.product.inner for r in products if r.product.role == "decoder.self_attn.scores")
    new = sum(r.output_bytes for r in products if r.product.role == "decoder.self_attn.qkv") * 2 // 3
    stored = sum(
        copy.written_bytes
        for copy in recording.copies
        if copy.role == "decoder.self_attn"
        and head_size in copy.shape
        and products[copy.after - 1].product.role == "decoder.self_attn.qkv"
    )
    projected = [r for r in products if r.product.role == "decoder.cross_attn.kv"]
    return StepBytes(
        weights=sum(r.operand_bytes for r in products if not r.product.is_attention),
        self_kv=operands("decoder.self_attn") + new,
        cross_kv=operands("decoder.cross_attn") + sum(r.input_bytes + r.output_bytes for r in projected),
        copies=2 * max(0, stored - new),
    )
