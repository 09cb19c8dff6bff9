"""Self-attention K/V in a buffer allocated once and written in place; attention reads its filled part, or all of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .strategy import Execution, Strategy, StrategyError, register

Read = Literal["filled", "buffer", "bucket"]
FIRST_BUCKET = 64
"""Rows of the smallest length bucket; each further one is twice as long."""


class StaticStore:
    """K and V of one layer in [B, G, C, K] buffers.

    Reading the filled part depends on the host's length at each step. Reading the whole buffer, or the part of it that
    holds the length's bucket, under a mask depends on tensors of the device within a bucket, so that step can be
    compiled or captured.
    """

    def __init__(self, shape: KVShape, capacity: int, read: Read) -> None:
        size = shape.batch, shape.heads, capacity, shape.head_size
        # Zeros, not empty: a masked key of NaN would still poison the softmax's product with V.
        self._k_BGCK = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._v_BGCK = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._position_C = torch.arange(capacity, device=shape.device)
        self._capacity = capacity
        self.past_only = read == "filled"

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write the new rows in place at the device's own position."""
        position_T = step.query_position_T()
        self._k_BGCK.index_copy_(2, position_T, k_BGTK)
        self._v_BGCK.index_copy_(2, position_T, v_BGTK)
        if step.keys == self._capacity:  # a slice of all would be an operator more
            return self._k_BGCK, self._v_BGCK
        return self._k_BGCK[:, :, : step.keys], self._v_BGCK[:, :, : step.keys]

    def key_position_M(self, step: Step) -> Tensor:
        """0 .. M - 1."""
        return self._position_C if step.keys == self._capacity else self._position_C[: step.keys]

    def reset(self) -> None:
        """Nothing to clear: what lies beyond the length is never attended."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """(reserved, used): the capacity, and the filled part of it."""
        reserved = self._k_BGCK.nbytes + self._v_BGCK.nbytes
        return reserved, reserved // self._capacity * length


@register("static_kv")
@dataclass(frozen=True)
class StaticKV(Strategy):
    """Self-attention K/V in a preallocated buffer, written in place; cross-attention K/V cached."""

    capacity: int | None = None
    read: Read = "filled"

    def __post_init__(self) -> None:
        if self.capacity is not None and self.capacity < 1:
            raise StrategyError(
                f"static_kv: capacity={self.capacity} is not allowed; give at least 1, or none for the target length"
            )

    def bind(self, max_new: int) -> Self:
        """Capacity defaults to the target length."""
        if self.capacity is None:
            return dataclasses.replace(self, capacity=max_new)
        if self.capacity < max_new:
            raise StrategyError(
                f"static_kv: capacity={self.capacity} cannot hold a target of {max_new} tokens; "
                f"give capacity={max_new} or more, or leave it out"
            )
        return self

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A buffer of ``capacity`` rows."""
        return StaticStore(shape, self._rows, self.read)

    def keys_read(self, k: int) -> int:
        """k, the capacity where the whole buffer is read, or k's bucket: 64, 128, 256 rows and so on within it."""
        if self.read == "filled":
            return k
        return self._rows if self.read == "buffer" else min(max(FIRST_BUCKET, 1 << (k - 1).bit_length()), self._rows)

    def rows_reserved(self, k: int) -> int:
        """The capacity."""
        return self._rows

    @property
    def static(self) -> bool:
        """Reading the filled part too takes views of one buffer."""
        return True

    @property
    def supports(self) -> frozenset[Execution]:
        """Slicing by the host's length is eager; within a buffer or bucket a step reads tensors only."""
        return frozenset({"eager"} if self.read == "filled" else {"eager", "compiled", "graph"})

    def executed(self, execution: Execution) -> Self | None:
        """What is compiled or captured reads buckets, where nothing else was asked for."""
        if execution != "eager" and self.read == "filled":
            return dataclasses.replace(self, read="bucket").executed(execution)
        return super().executed(execution)

    @property
    def _rows(self) -> int:
        if self.capacity is None:
            raise StrategyError("static_kv is not bound to a target length; call bind(max_new)")
        return self.capacity
