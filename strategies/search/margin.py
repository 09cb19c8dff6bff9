"""What rounding could turn: two logits that differ by less than twice the tolerance."""

from __future__ import annotations

from torch import Tensor


def margin_of(logits_XV: Tensor, tolerance: float) -> Tensor:
    """Twice the tolerance, float32 []: each of two logits may be off by it.

    ``tolerance`` is a share of max(1, the largest logit).
    """
    return 2 * tolerance * logits_XV.abs().amax().float().clamp(min=1)
