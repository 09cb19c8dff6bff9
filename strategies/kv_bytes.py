"""The bytes of K/V that a session holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KVBytes:
    """Bytes of K/V that persist between steps: self-attention's reserved and used, and cross-attention's."""

    self_reserved: int
    self_used: int
    cross: int

    @property
    def reserved(self) -> int:
        """All bytes held for K/V, whether they are filled or not."""
        return self.self_reserved + self.cross

    @property
    def used(self) -> int:
        """The part of ``reserved`` that holds K/V."""
        return self.self_used + self.cross
