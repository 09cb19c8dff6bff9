"""What attention asks of a decoding strategy: two protocols and the step they share. Nothing else is known of it.

Of the self-attention stores of a session, one for each decoder layer, these are called in this order:

    reset()                    of every layer's, at each prefill: a session decodes one batch after another
    key_position_M(step)       once a step and of the first layer's store alone, BEFORE any ``append`` of that step
    append(k, v, step)         of each layer's, first to last
    nbytes(length)             of every layer's, at any time between steps

``Step`` is the same for all layers of a step. ``step.length`` counts the new keys already when ``key_position_M`` is
asked, so that answers for what ``append`` is about to return, and for all layers. What layers share, such as a table of
blocks, must not be moved on by one layer in ``append`` as if the step were over: the session moves ``Step`` on, after
the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class KVShape:
    """The sizes that a self-attention store of one layer is built for. ``heads`` are those of K and V, G."""

    batch: int
    heads: int
    head_size: int
    max_new: int
    dtype: torch.dtype
    device: torch.device


@dataclass
class Step:
    """Where decoding stands. The session advances it once a step, after all layers.

    ``length``: k, the number of keys that exist once this step has appended its own (host integer, for eager slicing).
    ``rows``: T, decoder rows computed in this call; the last of them is position k - 1.
    ``keys``: M, keys that the strategy reads at this step; k, or more where a buffer is read beyond what is filled.
    ``position_1``: position of the last row, k - 1, as an int64 tensor on the device; advanced in place. A compiled or
    captured step reads it and, as constants, ``rows`` and what is the same for all k of its ``variant``.
    """

    length: int
    rows: int
    keys: int
    position_1: Tensor
    variant: int = 0

    @property
    def query_offset(self) -> int:
        """Position of the first row of this call, k - T."""
        return self.length - self.rows

    def query_position_T(self) -> Tensor:
        """Positions of the rows of this call, from the device's own counter."""
        if self.rows == 1:
            return self.position_1
        return self.position_1 + torch.arange(1 - self.rows, 1, device=self.position_1.device)


class SelfKV(Protocol):
    """Self-attention keys and values of one layer."""

    past_only: bool
    """True where every key returned lies at or before the last query row: one row then needs no mask."""

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Take the K/V of this call's rows, return those to attend: [B, G, M, K] each."""

    def key_position_M(self, step: Step) -> Tensor:
        """Position of each key that ``append`` will return at this step, int64 [M]. Asked before it, of one layer."""

    def reset(self) -> None:
        """Forget everything; called at prefill."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used) that persist between steps once ``length`` keys have been appended."""


@runtime_checkable
class Growing(Protocol):
    """A ``SelfKV`` whose tensors are longer at each step, which a compiled step must not take for constant."""

    def grow_to(self, length: int) -> Sequence[Tensor]:
        """Hold ``length`` rows of no meaning, to be compiled with; the tensors that grow, along dimension 2."""


class CrossProject(Protocol):
    """Turns the encoder's output into one layer's cross-attention K and V."""

    def __call__(self, memory_BSD: Tensor, /) -> tuple[Tensor, Tensor]:
        """[B, S, D] -> K, V of [B, G, S, K] each."""


class CrossKV(Protocol):
    """Cross-attention keys and values of one layer, made from the encoder's output."""

    def __init__(self, project: CrossProject, memory_BSD: Tensor) -> None: ...

    def get(self) -> tuple[Tensor, Tensor]:
        """K and V of the source: [B, G, S, K] each."""

    def copy_(self, other: Self) -> None:
        """Take over another source's tensors in place, where a captured step reads them."""

    def nbytes(self) -> int:
        """Bytes of K/V that persist between steps."""


class CachedCross:
    """Projects once, at prefill, and drops the encoder's output."""

    def __init__(self, project: CrossProject, memory_BSD: Tensor) -> None:
        self._kv = project(memory_BSD)

    def get(self) -> tuple[Tensor, Tensor]:
        """The K/V projected at prefill, [B, G, S, K] each."""
        return self._kv

    def copy_(self, other: Self) -> None:
        """Both K and V."""
        for mine, new in zip(self._kv, other._kv, strict=True):
            mine.copy_(new)

    def nbytes(self) -> int:
        """Bytes of both."""
        return sum(tensor.nbytes for tensor in self._kv)


class RecomputedCross:
    """Keeps the encoder's output and projects it again at every step."""

    def __init__(self, project: CrossProject, memory_BSD: Tensor) -> None:
        self._project = project
        self._memory_BSD = memory_BSD

    def get(self) -> tuple[Tensor, Tensor]:
        """Fresh K/V, [B, G, S, K] each."""
        return self._project(self._memory_BSD)

    def copy_(self, other: Self) -> None:
        """The encoder's output."""
        self._memory_BSD.copy_(other._memory_BSD)

    def nbytes(self) -> int:
        """No K/V persist."""
        return 0


class PassThrough:
    """A store that remembers nothing: what it is given is all there is. Training and full recompute use it."""

    past_only = False

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Returns its arguments: T = M."""
        return k_BGTK, v_BGTK

    def key_position_M(self, step: Step) -> Tensor:
        """Keys and queries are the same rows."""
        return step.query_position_T()

    def reset(self) -> None:
        """Nothing to forget."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """Nothing persists."""
        return 0, 0
