"""A self-attention KV cache that grows by concatenation: every step copies all rows into a new, larger tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .strategy import Execution, Strategy, register


class ContiguousStore:
    """K and V of one layer, in tensors of [B, G, k, K] that are exactly as long as what they hold."""

    past_only = True

    def __init__(self, shape: KVShape) -> None:
        size = shape.batch, shape.heads, 0, shape.head_size
        self._empty_BG0K = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self._k_BGMK = self._v_BGMK = self._empty_BG0K
        self._hole_BG1K = torch.zeros(1, dtype=shape.dtype, device=shape.device).expand(*size[:2], 1, size[3])

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Concatenate the new rows along the key dimension, which copies the k - T old rows."""
        self._k_BGMK = torch.cat((self._k_BGMK, k_BGTK), dim=2)
        self._v_BGMK = torch.cat((self._v_BGMK, v_BGTK), dim=2)
        return self._k_BGMK, self._v_BGMK

    def place(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """Concatenate a row that is yet to be written, which copies the k - 1 old rows; and its position."""
        self._k_BGMK = torch.cat((self._k_BGMK, self._hole_BG1K), dim=2)
        self._v_BGMK = torch.cat((self._v_BGMK, self._hole_BG1K), dim=2)
        return self._k_BGMK, self._v_BGMK, step.position_1

    def key_position_M(self, step: Step) -> Tensor:
        """Positions 0 to k - 1, int64 [k].

        A compiled step must not read ``step.length``, a host integer that changes from step to step. It adds the number
        of rows fed to the number of rows held.
        """
        length = self._k_BGMK.shape[2] + step.rows if torch.compiler.is_compiling() else step.length
        return torch.arange(length, device=self._empty_BG0K.device)

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Gather all rows, once, into new tensors."""
        self._k_BGMK = self._k_BGMK.index_select(0, parent_B)
        self._v_BGMK = self._v_BGMK.index_select(0, parent_B)

    def reset(self) -> None:
        """Forget every row."""
        self._k_BGMK = self._v_BGMK = self._empty_BG0K

    def grow_to(self, length: int) -> Sequence[Tensor]:
        """Hold ``length`` rows, and return K and V.

        The rows are zeros, unless the store already holds ``length`` rows. Those are kept, because they have the memory
        layout that the previous step left.
        """
        batch, heads, held, size = self._k_BGMK.shape
        if held != length:
            self._k_BGMK = self._empty_BG0K.new_zeros(batch, heads, length, size)
            self._v_BGMK = self._k_BGMK.clone()
        return self._k_BGMK, self._v_BGMK

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used). The two are equal, because no row is allocated before it is filled."""
        held = self._k_BGMK.nbytes + self._v_BGMK.nbytes
        return held, held


@register("contiguous_kv")
@dataclass(frozen=True)
class ContiguousKV(Strategy):
    """Self-attention K/V grow by concatenation; cross-attention K/V cached."""

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A store that grows by concatenation."""
        return ContiguousStore(shape)

    @property
    def supports(self) -> frozenset[Execution]:
        """Eager and compiled.

        A compiled step takes any length. A captured step reads the same addresses each time, and these tensors move.
        """
        return frozenset({"eager", "compiled"})

    def variant(self, k: int) -> int:
        """One variant for no earlier key, one for one earlier key, and one for any larger number.

        The compiler treats the sizes 0 and 1 as constants.
        """
        return min(k, 3)

    def rows_copied(self, k: int) -> int:
        """All k - 1 earlier rows."""
        return k - 1
