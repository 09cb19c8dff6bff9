"""The bytes and the blocks of K/V that a session holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .models.stores import CrossKV, InBlocks, SelfKV
from .strategy import Strategy, StrategyError


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


def bytes_held(stores: Sequence[SelfKV], sources: Sequence[CrossKV], rows: int) -> KVBytes:
    """Bytes of the stores of all layers, which hold so many ``rows`` of each sequence, and of what is kept of sources.

    ``sources`` are those of the layers, none before prefill.
    """
    held = [store.nbytes(rows) for store in stores]
    return KVBytes(
        sum(reserved for reserved, _ in held),
        sum(used for _, used in held),
        sum(source.nbytes() for source in sources),
    )


def blocks_held(bound: Strategy, store: SelfKV, rows: int) -> tuple[int, int] | None:
    """Blocks of the store of a layer (in use, reserved); None where there are none. It waits for the device.

    Raises StrategyError for what are no two whole numbers.
    """
    if not isinstance(store, InBlocks):
        return None
    found = store.blocks_in_use(rows)
    if not (isinstance(found, tuple) and [type(blocks) for blocks in found] == [int, int]):
        raise StrategyError(f"{bound.label}: blocks_in_use gave {found!r}; return two whole numbers")
    return found
