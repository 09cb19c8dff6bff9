"""A self-attention KV cache in a buffer that is allocated once and written in place.

Attention reads the filled part of the buffer, the whole buffer, or the part up to a length bucket.

Beams are reordered by copying rows into a second buffer, or in a table that says where each beam's rows lie
(``table_store.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .strategy import Execution, Strategy, StrategyError, register
from .table_store import BeamTable, TableStore

Read = Literal["filled", "buffer", "bucket"]
Reorder = Literal["copy", "table"]
FIRST_BUCKET = 64
"""Rows of the smallest length bucket; each following bucket is twice as long."""


class StaticStore:
    """K and V of one layer in buffers of [B, G, C, K].

    A step that reads the filled part depends on the length, which the host knows. A step that reads the whole buffer or
    a bucket of it, under a mask, depends on tensors of the device alone for as long as the bucket is the same. Such a
    step can be compiled or captured.

    With beams there are two buffers for K and two for V. Reordering copies the filled rows from one to the other.
    """

    def __init__(self, shape: KVShape, capacity: int, read: Read) -> None:
        size = shape.batch, shape.heads, capacity, shape.head_size
        # Zeros, not empty: a masked key of NaN would still poison the softmax's product with V.
        self._k_BGCK = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._v_BGCK = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._spare = (torch.zeros_like(self._k_BGCK), torch.zeros_like(self._v_BGCK)) if shape.beams > 1 else None
        self.side = 0
        self._position_C = torch.arange(capacity, device=shape.device)
        self._capacity = capacity
        self.past_only = read == "filled"

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write the new rows in place, at the position that the device holds."""
        return self._written(step.query_position_T(), k_BGTK, v_BGTK, step.keys)

    def place(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """The whole buffers, and the position that the device holds."""
        return self._k_BGCK, self._v_BGCK, step.position_1

    def _written(self, row_T: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, keys: int) -> tuple[Tensor, Tensor]:
        """Write new rows in place; return the first ``keys`` rows of K and V."""
        self._k_BGCK.index_copy_(2, row_T, k_BGTK)
        self._v_BGCK.index_copy_(2, row_T, v_BGTK)
        if keys == self._capacity:  # saves the operator that slicing the whole buffer would be
            return self._k_BGCK, self._v_BGCK
        return self._k_BGCK[:, :, :keys], self._v_BGCK[:, :, :keys]

    def key_position_M(self, step: Step) -> Tensor:
        """Positions 0 to M - 1, int64 [M]."""
        return self._position_C if step.keys == self._capacity else self._position_C[: step.keys]

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Copy the filled rows into the other buffers, in the new order, and stand on those."""
        assert self._spare is not None
        (k_BGCK, v_BGCK), held = self._spare, step.length - 1
        torch.index_select(self._k_BGCK[:, :, :held], 0, parent_B, out=k_BGCK[:, :, :held])
        torch.index_select(self._v_BGCK[:, :, :held], 0, parent_B, out=v_BGCK[:, :, :held])
        self._spare = self._k_BGCK, self._v_BGCK
        self._k_BGCK, self._v_BGCK, self.side = k_BGCK, v_BGCK, 1 - self.side

    def reset(self) -> None:
        """Do nothing: rows beyond the length are never attended, so old ones need not be cleared."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used): of all buffers, and of the first ``length`` rows of those that are read."""
        one = self._k_BGCK.nbytes + self._v_BGCK.nbytes
        return one if self._spare is None else 2 * one, one // self._capacity * length


@dataclass(frozen=True)
class PreallocatedKV(Strategy):
    """Base of strategies that allocate ``capacity`` rows per sequence at once, by default those of the target."""

    capacity: int | None = None

    def __post_init__(self) -> None:
        if self.capacity is not None and self.capacity < 1:
            raise StrategyError(
                f"{self._name}: capacity={self.capacity} is not allowed; give at least 1, or none for the target length"
            )

    def bind(self, max_new: int) -> Self:
        """This strategy for targets of at most ``max_new`` tokens, which is the default of ``capacity``.

        Raises StrategyError if the capacity is smaller.
        """
        if self.capacity is None:
            return dataclasses.replace(self, capacity=max_new)
        if self.capacity < max_new:
            raise StrategyError(
                f"{self._name}: capacity={self.capacity} cannot hold a target of {max_new} tokens; "
                f"give capacity={max_new} or more, or leave it out"
            )
        return self

    @property
    def _name(self) -> str:
        return self.label.partition("(")[0]

    @property
    def _rows(self) -> int:
        if self.capacity is None:
            raise StrategyError(f"{self._name} is not bound to a target length; call bind(max_new)")
        return self.capacity


@dataclass(frozen=True)
class BufferKV(PreallocatedKV):
    """Base of strategies that keep a row for every position, in a buffer of ``capacity`` rows that is allocated once.

    With beams there is a second buffer, into which the filled rows are copied.
    """

    read: Read = "filled"

    def keys_read(self, k: int) -> int:
        """The keys read: k for ``read=filled``, the capacity for ``buffer``, the bucket of k for ``bucket``.

        Buckets have 64, 128, 256 rows and so on, and at most the capacity.
        """
        if self.read == "filled":
            return k
        return self._rows if self.read == "buffer" else min(max(FIRST_BUCKET, 1 << (k - 1).bit_length()), self._rows)

    def rows_reserved(self, k: int) -> int:
        """The capacity."""
        return self._rows

    def rows_spare(self, k: int) -> int:
        """The capacity once more."""
        return self._rows

    @property
    def supports(self) -> frozenset[Execution]:
        """Eager alone for ``read=filled``, which slices by the host's length; else every execution.

        Within the buffer or a bucket, what a step reads of its position are tensors only.
        """
        return frozenset({"eager"} if self.read == "filled" else {"eager", "compiled", "graph"})

    def executed(self, execution: Execution) -> Self | None:
        """This strategy with that execution. A compiled or captured step reads buckets where ``read`` is ``filled``."""
        if execution != "eager" and self.read == "filled":
            return dataclasses.replace(self, read="bucket").executed(execution)
        return super().executed(execution)


@register("static_kv")
@dataclass(frozen=True)
class StaticKV(BufferKV):
    """Self-attention K/V in a preallocated buffer, written in place; cross-attention K/V cached."""

    reorder: Reorder = "copy"

    of_beams: ClassVar[frozenset[str]] = Strategy.of_beams | {"reorder"}

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A buffer of ``capacity`` rows per sequence; with beams, two of them."""
        return StaticStore(shape, self._rows, self.read)

    def open(self, shape: KVShape, layers: int) -> Sequence[SelfKV]:
        """A store for each layer; with beams and ``reorder=table``, stores that share a table."""
        if shape.beams == 1 or self.reorder == "copy":
            return super().open(shape, layers)
        table = BeamTable(shape, self._rows)
        return [TableStore(shape, table, first=layer == 0, past_only=self.read == "filled") for layer in range(layers)]

    def rows_reordered(self, k: int) -> int:
        """All k rows, or none where a table is reordered."""
        return k if self.reorder == "copy" else 0

    def rows_gathered(self, k: int) -> int:
        """Every key that is read, where there is a table."""
        return self.keys_read(k) if self.reorder == "table" else 0

    def rows_spare(self, k: int) -> int:
        """The capacity once more, where beams are copied."""
        return self._rows if self.reorder == "copy" else 0

    def entries_reserved(self, k: int) -> int:
        """An entry for each row of the capacity."""
        return self._rows if self.reorder == "table" else 0

    def entries_reordered(self, k: int) -> int:
        """Those of the k rows, twice: they are gathered, and copied back to where a captured step reads them."""
        return 2 * k if self.reorder == "table" else 0

    @property
    def static(self) -> bool:
        """True for every ``read``: reading the filled part takes views of one buffer, too."""
        return True
