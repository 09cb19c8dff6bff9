"""Remembers nothing: the whole prefix goes through the decoder at every step. The oracle of the others."""

from __future__ import annotations

from dataclasses import dataclass

from .models.stores import KVShape, PassThrough, SelfKV
from .strategy import CrossMode, Strategy, register


@register("full_recompute")
@dataclass(frozen=True)
class FullRecompute(Strategy):
    """Remembers nothing: feeds the whole prefix at every step (the oracle)."""

    cross: CrossMode = "recompute"

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A store that returns what it is given."""
        return PassThrough()

    def rows_fed(self, k: int) -> int:
        """All k rows."""
        return k

    def rows_reserved(self, k: int) -> int:
        """None."""
        return 0
