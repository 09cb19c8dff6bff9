"""A preallocated self-attention KV cache for beams that are reordered in a table alone.

NVIDIA's FasterTransformer and TensorRT-LLM call such a table "cache indirection". Their attention kernels read through
it. torch has none that does, so the rows are gathered before they are attended.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .models.stores import KVShape, Step


class BeamTable:
    """Where the rows of each sequence lie, int64 [B, C]: rows of buffers [B * C, G * K], which the layers share."""

    def __init__(self, shape: KVShape, capacity: int) -> None:
        self.row_BC = torch.arange(shape.batch * capacity, device=shape.device).view(shape.batch, capacity)

    def select(self, parent_B: Tensor, held: int) -> None:
        """Let the first ``held`` rows of each sequence be those of its parent. Later ones stay its own."""
        self.row_BC[:, :held] = self.row_BC[:, :held].index_select(0, parent_B)

    def reset(self) -> None:
        """Give each sequence its own rows again."""
        torch.arange(self.row_BC.numel(), out=self.row_BC.view(-1))


class TableStore:
    """K and V of one layer in buffers of [B * C, G * K]; reordering beams changes their table alone.

    A sequence writes to rows of its own and reads, through the table, rows of whichever sequence wrote them.
    """

    def __init__(self, shape: KVShape, table: BeamTable, first: bool, past_only: bool) -> None:
        """``first`` says whether this is the first layer's store, which reorders and counts the table.

        ``past_only``: whether a step reads no row beyond those that are filled.
        """
        capacity = table.row_BC.shape[1]
        size = shape.batch * capacity, shape.heads * shape.head_size
        self._k_RX = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._v_RX = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._own_B = torch.arange(0, size[0], capacity, device=shape.device)
        self._position_C = torch.arange(capacity, device=shape.device)
        self._table, self._first, self._heads, self._capacity = table, first, shape.heads, capacity
        self.past_only = past_only

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write the new rows of each sequence among its own, and gather the rows to attend."""
        written_R = (self._own_B[:, None] + step.query_position_T()).flatten()
        self._k_RX.index_copy_(0, written_R, k_BGTK.transpose(1, 2).reshape(len(written_R), -1))
        self._v_RX.index_copy_(0, written_R, v_BGTK.transpose(1, 2).reshape(len(written_R), -1))
        row_BM = self._table.row_BC[:, : step.keys]
        size = *row_BM.shape, self._heads, -1
        return self._k_RX[row_BM].view(size).transpose(1, 2), self._v_RX[row_BM].view(size).transpose(1, 2)

    def key_position_M(self, step: Step) -> Tensor:
        """Positions 0 to M - 1, int64 [M]."""
        return self._position_C[: step.keys]

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Reorder the table, in the first layer."""
        if self._first:
            self._table.select(parent_B, step.length - 1)

    def reset(self) -> None:
        """Give each sequence its own rows again."""
        if self._first:
            self._table.reset()

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used) of the buffers, and in the first layer of the table."""
        reserved = self._k_RX.nbytes + self._v_RX.nbytes + (self._table.row_BC.nbytes if self._first else 0)
        return reserved, reserved // self._capacity * length
