"""A self-attention KV cache in blocks of a preallocated pool, found through a table, as in vLLM.

Kwon et al. 2023, arXiv 2309.06180, section 4. Beams share the blocks that are full and copy the one that is not. vLLM's
attention kernel reads through the table. torch has none that does, so the blocks are gathered before they are attended.

All sequences of a batch have the same length, so blocks need no counts of references: block j of a sequence has a place
of its own in the pool, and is never written again once it is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .static_kv import PreallocatedKV
from .strategy import StrategyError, register


class BlockTable:
    """Where the blocks of each sequence lie in the pools of all layers, int64 [B, J].

    ``rows`` is the number of rows of a block. J blocks hold the longest target.
    """

    def __init__(self, shape: KVShape, blocks: int, rows: int) -> None:
        self.place_BJ = torch.arange(shape.batch * blocks, device=shape.device).view(shape.batch, blocks)
        self.rows = rows

    def select(self, parent_B: Tensor, full: int) -> None:
        """Let the first ``full`` blocks of each sequence be those of its parent. Later ones stay its own."""
        self.place_BJ[:, :full] = self.place_BJ[:, :full].index_select(0, parent_B)

    def reset(self) -> None:
        """Give each sequence its own blocks again."""
        torch.arange(self.place_BJ.numel(), out=self.place_BJ.view(-1))

    def in_use(self, length: int) -> int:
        """Number of distinct blocks that hold the first ``length`` rows of the sequences."""
        return len(set(self.place_BJ[:, : -(-length // self.rows)].flatten().tolist()))


class PagedStore:
    """K and V of one layer in pools of [B, J, R, G * K]: J blocks of R rows for each sequence.

    A sequence writes to blocks of its own and reads, through the table, blocks of whichever sequence filled them.
    """

    past_only = True

    def __init__(self, shape: KVShape, table: BlockTable, first: bool) -> None:
        """``first`` says whether this is the first layer's store, which reorders and counts the table."""
        size = *table.place_BJ.shape, table.rows, shape.heads * shape.head_size
        self._k_BJRX = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self._v_BJRX = torch.empty_like(self._k_BJRX)
        self._position_C = torch.arange(size[1] * size[2], device=shape.device)
        self._table, self._first = table, first
        self._heads, self._head_size = shape.heads, shape.head_size

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write the new rows of each sequence to its last blocks, and gather its blocks."""
        first, last = step.query_offset, step.length
        for pool_BJRX, new_BGTK in ((self._k_BJRX, k_BGTK), (self._v_BJRX, v_BGTK)):
            pool_BJRX.flatten(1, 2)[:, first:last] = new_BGTK.transpose(1, 2).flatten(2)
        place_BJ = self._table.place_BJ[:, : -(-last // self._table.rows)]
        return self._gathered(self._k_BJRX, place_BJ, step.length), self._gathered(self._v_BJRX, place_BJ, step.length)

    def _gathered(self, pool_BJRX: Tensor, place_BJ: Tensor, length: int) -> Tensor:
        """The first ``length`` rows of the blocks at these places, [B, G, M, K]."""
        rows_BJRX = pool_BJRX.flatten(0, 1)[place_BJ]
        return rows_BJRX.view(len(place_BJ), -1, self._heads, self._head_size).transpose(1, 2)[:, :, :length]

    def key_position_M(self, step: Step) -> Tensor:
        """Positions 0 to k - 1, int64 [k]."""
        return self._position_C[: step.length]

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Let sequences share the full blocks of their parents, and copy the rows of the last block if it is not full.

        The rows are gathered before any is overwritten, so each is copied twice.
        """
        full, rows = divmod(step.length - 1, self._table.rows)
        if self._first:
            self._table.select(parent_B, full)
        if rows:
            for pool_BJRX in (self._k_BJRX, self._v_BJRX):
                last_BRX = pool_BJRX[:, full, :rows]
                last_BRX.copy_(last_BRX.index_select(0, parent_B))

    def reset(self) -> None:
        """Give each sequence its own blocks again. What they hold is never read before it is overwritten."""
        if self._first:
            self._table.reset()

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used) of the pools, and in the first layer of the table.

        Rows count as used once for each sequence that reads them; ``blocks_in_use`` counts a shared block once.
        """
        pools = self._k_BJRX.nbytes + self._v_BJRX.nbytes
        table = self._table.place_BJ.nbytes if self._first else 0
        return pools + table, pools // len(self._position_C) * length + table

    def blocks_in_use(self, length: int) -> tuple[int, int]:
        """Blocks of one layer (in use, reserved) once ``length`` keys have been appended. It waits for the device."""
        return self._table.in_use(length), self._table.place_BJ.numel()


@register("paged_kv")
@dataclass(frozen=True)
class PagedKV(PreallocatedKV):
    """Self-attention K/V in blocks found through a table; beams share full blocks; cross-attention K/V cached."""

    block: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 1:
            raise StrategyError(f"paged_kv: block={self.block} is not allowed; give at least 1")

    def open(self, shape: KVShape, layers: int) -> Sequence[SelfKV]:
        """A pool of blocks for each layer, and one table for all. The pool suffices even if beams share nothing."""
        table = BlockTable(shape, self._blocks, self.block)
        return [PagedStore(shape, table, first=layer == 0) for layer in range(layers)]

    def rows_expanded(self, k: int) -> int:
        """All rows of the blocks that hold k keys."""
        return -(-k // self.block) * self.block

    def rows_reserved(self, k: int) -> int:
        """The capacity in whole blocks."""
        return self._blocks * self.block

    def table_entries(self, k: int) -> int:
        """An entry for each block of the capacity."""
        return self._blocks

    def rows_reordered(self, k: int) -> int:
        """Those of the last block, twice, or none if it is full."""
        return 2 * (k % self.block)

    def entries_reordered(self, k: int) -> int:
        """Those of the full blocks, twice: they are gathered, and copied back into the table."""
        return 2 * (k // self.block)

    @property
    def _blocks(self) -> int:
        return -(-self._rows // self.block)
