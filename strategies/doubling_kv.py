"""A self-attention KV cache in a buffer that doubles when it is full.

Growing copies every row, but ever more rarely: over N steps fewer than 2 N rows are copied (Cormen et al.,
"Introduction to Algorithms", dynamic tables), where a cache that grows by concatenation copies N * (N - 1) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .strategy import Strategy, StrategyError, register


class DoublingStore:
    """K and V of one layer in buffers of [B, G, C, K]. C is doubled at a step for which there is no room."""

    past_only = True

    def __init__(self, shape: KVShape, first: int) -> None:
        """``first`` is C before it is doubled."""
        size = shape.batch, shape.heads, 0, shape.head_size
        self._empty_BG0K = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self._k_BGCK = self._v_BGCK = self._empty_BG0K
        self._first = first

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write the new row in place, or into a buffer twice as large to which the others are copied."""
        self._k_BGCK = self._written(self._k_BGCK, k_BGTK, step)
        self._v_BGCK = self._written(self._v_BGCK, v_BGTK, step)
        return self._k_BGCK[:, :, : step.length], self._v_BGCK[:, :, : step.length]

    def place(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """The whole buffers, doubled if there is no room, and the position that the device holds."""
        self._k_BGCK = self._with_room(self._k_BGCK, step)
        self._v_BGCK = self._with_room(self._v_BGCK, step)
        return self._k_BGCK, self._v_BGCK, step.position_1

    def _written(self, held_BGCK: Tensor, new_BGTK: Tensor, step: Step) -> Tensor:
        held_BGCK = self._with_room(held_BGCK, step)
        held_BGCK[:, :, step.query_offset : step.length] = new_BGTK
        return held_BGCK

    def _with_room(self, held_BGCK: Tensor, step: Step) -> Tensor:
        batch, heads, capacity, size = held_BGCK.shape
        if step.length <= capacity:
            return held_BGCK
        held, doubled = step.query_offset, capacity << (-(-step.length // capacity) - 1).bit_length()
        larger_BGCK = held_BGCK.new_empty(batch, heads, doubled, size)
        larger_BGCK[:, :, :held] = held_BGCK[:, :, :held]
        return larger_BGCK

    def key_position_M(self, step: Step) -> Tensor:
        """Positions 0 to k - 1, int64 [k]."""
        return torch.arange(step.length, device=self._empty_BG0K.device)

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Gather the filled rows into new buffers of the same capacity."""
        self._k_BGCK = self._gathered(self._k_BGCK, parent_B, step.length - 1)
        self._v_BGCK = self._gathered(self._v_BGCK, parent_B, step.length - 1)

    def _gathered(self, held_BGCK: Tensor, parent_B: Tensor, length: int) -> Tensor:
        new_BGCK = torch.empty_like(held_BGCK)
        torch.index_select(held_BGCK[:, :, :length], 0, parent_B, out=new_BGCK[:, :, :length])
        return new_BGCK

    def reset(self) -> None:
        """Let go of the buffers, and only then allocate small ones."""
        self._k_BGCK = self._v_BGCK = self._empty_BG0K
        batch, heads, _, size = self._empty_BG0K.shape
        self._k_BGCK = self._empty_BG0K.new_empty(batch, heads, self._first, size)
        self._v_BGCK = torch.empty_like(self._k_BGCK)

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used): of both buffers, and of their first ``length`` rows."""
        used = self._k_BGCK[:, :, :length].nbytes + self._v_BGCK[:, :, :length].nbytes
        return self._k_BGCK.nbytes + self._v_BGCK.nbytes, used


@register("doubling_kv")
@dataclass(frozen=True)
class DoublingKV(Strategy):
    """Self-attention K/V in a buffer that doubles when it is full; cross-attention K/V cached."""

    first: int = 16

    def __post_init__(self) -> None:
        if self.first < 1:
            raise StrategyError(f"doubling_kv: first={self.first} is not allowed; give at least 1 row to double")

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A buffer of ``first`` rows per sequence, to be doubled."""
        return DoublingStore(shape, self.first)

    def rows_reserved(self, k: int) -> int:
        """``first``, doubled until k rows fit."""
        return self.first << (-(-k // self.first) - 1).bit_length()

    def rows_copied(self, k: int) -> int:
        """All k - 1 earlier rows if they filled the buffer, else none."""
        return k - 1 if k > 1 and self.rows_reserved(k) > self.rows_reserved(k - 1) else 0
