"""Full recompute that caches the one thing that never changes: the cross-attention K/V of the source."""

from __future__ import annotations

from .full_recompute import FullRecompute
from .strategy import register

register("cross_kv", "Recomputes self-attention at every step, caches the cross-attention K/V.", cross="cached")(
    FullRecompute
)
