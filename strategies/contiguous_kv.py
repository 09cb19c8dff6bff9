"""Self-attention K/V that grow by concatenation: a new, larger tensor at every step, into which all is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .strategy import Execution, Strategy, register


class ContiguousStore:
    """K and V of one layer, exactly as long as what they hold."""

    past_only = True

    def __init__(self, shape: KVShape) -> None:
        size = shape.batch, shape.heads, 0, shape.head_size
        self._empty_BG0K = torch.empty(size, dtype=shape.dtype, device=shape.device)
        self._k_BGMK = self._v_BGMK = self._empty_BG0K

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Concatenate along the key dimension: k - T old rows are copied."""
        self._k_BGMK = torch.cat((self._k_BGMK, k_BGTK), dim=2)
        self._v_BGMK = torch.cat((self._v_BGMK, v_BGTK), dim=2)
        return self._k_BGMK, self._v_BGMK

    def key_position_M(self, step: Step) -> Tensor:
        """0 .. k - 1. A compiled step must not read the host's length, but knows what is held and the rows to come."""
        length = self._k_BGMK.shape[2] + step.rows if torch.compiler.is_compiling() else step.length
        return torch.arange(length, device=self._empty_BG0K.device)

    def reset(self) -> None:
        """Start again from no rows."""
        self._k_BGMK = self._v_BGMK = self._empty_BG0K

    def grow_to(self, length: int) -> Sequence[Tensor]:
        """Zeros, unless as many rows are held: those have the layout that the step before left."""
        batch, heads, held, size = self._k_BGMK.shape
        if held != length:
            self._k_BGMK = self._empty_BG0K.new_zeros(batch, heads, length, size)
            self._v_BGMK = self._k_BGMK.clone()
        return self._k_BGMK, self._v_BGMK

    def nbytes(self, length: int) -> tuple[int, int]:
        """(reserved, used): equal."""
        held = self._k_BGMK.nbytes + self._v_BGMK.nbytes
        return held, held


@register("contiguous_kv")
@dataclass(frozen=True)
class ContiguousKV(Strategy):
    """Self-attention K/V grow by concatenation; cross-attention K/V cached."""

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A growing store."""
        return ContiguousStore(shape)

    @property
    def supports(self) -> frozenset[Execution]:
        """A compiled step takes any length; a captured one reads where it read, and these tensors move."""
        return frozenset({"eager", "compiled"})

    def variant(self, k: int) -> int:
        """1 and 2: with no key before, and with one, sizes that the compiler takes for constants; then one for all."""
        return min(k, 3)

    def rows_copied(self, k: int) -> int:
        """All earlier rows."""
        return k - 1
