"""Decoding without a KV cache: the whole prefix goes through the decoder at every step.

It is the oracle: the other strategies must give its logits.
"""

from __future__ import annotations

from dataclasses import dataclass

from .facts import CrossMode
from .models.stores import KVShape, PassThrough, SelfKV
from .strategy import Strategy, register


@register("full_recompute")
@dataclass(frozen=True)
class FullRecompute(Strategy):
    """No KV cache: feeds the whole prefix at every step (the oracle)."""

    cross: CrossMode = "recompute"

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A store that remembers nothing and returns the rows it is given."""
        return PassThrough()

    def rows_fed(self, k: int) -> int:
        """All k rows of the prefix."""
        return k

    def rows_reserved(self, k: int) -> int:
        """No rows: nothing persists between steps."""
        return 0

    def rows_reordered(self, k: int) -> int:
        """No rows: of the beams, only the token ids are reordered."""
        return 0
