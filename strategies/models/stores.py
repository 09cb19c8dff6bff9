"""What attention knows of a decoding strategy: two protocols, ``SelfKV`` and ``CrossKV``, and the ``Step`` they share.

A session has one self-attention store per decoder layer. Their methods are called in this order:

    reset()                    of every layer's store, at each prefill: a session decodes one batch after another
    select(parent, step)       with beams, between two steps, of every layer's store, first layer to last
    key_position_M(step)       at most once per step, of the first layer's store, BEFORE any ``append`` of that step
    append(k, v, step)         once per step, of every layer's store, first layer to last; of a store that is
                               ``Placing``, native code may call place(step) instead
    nbytes(length)             of every layer's store, at any time between steps

All layers see the same ``Step``. When ``key_position_M`` is called, ``step.length`` already counts the new keys, so the
answer holds for what ``append`` is about to return, in all layers. What layers share, such as a table of blocks, must
not advance in the ``append`` of one layer as if the step were over: the session advances ``Step`` after the last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class KVShape:
    """The sizes that a self-attention store of one layer is built for. ``heads`` are those of K and V, G.

    ``batch`` is the number of sequences. With ``beams``, W, it is B * W, and the W sequences of a sentence lie side by
    side. Every B in the names of a store's tensors is this number.
    """

    batch: int
    heads: int
    head_size: int
    max_new: int
    dtype: torch.dtype
    device: torch.device
    beams: int = 1


@dataclass
class Step:
    """Where decoding stands. The session advances it once per step, after all layers.

    ``length``: k, the number of keys that exist once this step has appended its own (host integer, for eager slicing).
    ``rows``: T, decoder rows computed in this call; the last of them is position k - 1.
    ``keys``: M, keys that the strategy reads at this step; k, or more where a buffer is read beyond what is filled.
    ``position_1``: position of the last row, k - 1, as an int64 tensor on the device; advanced in place.
    ``variant``: number of the compiled or captured step (``Strategy.variant``). Such a step reads ``position_1`` and
    contains, as constants, ``rows`` and whatever is the same for all k of its variant.
    """

    length: int
    rows: int
    keys: int
    position_1: Tensor
    variant: int = 0
    side: int = 0
    """Which of its two buffers the stores stand on, where they are ``TwoSided``; else 0."""

    @property
    def query_offset(self) -> int:
        """Position of the first row of this call, k - T."""
        return self.length - self.rows

    def query_position_T(self) -> Tensor:
        """Positions of the rows of this call, int64 [T], computed from the device's ``position_1``."""
        if self.rows == 1:
            return self.position_1
        return self.position_1 + torch.arange(1 - self.rows, 1, device=self.position_1.device)


class SelfKV(Protocol):
    """Self-attention keys and values of one layer."""

    past_only: bool
    """Whether every key returned lies at or before the last query row; a step of one row then needs no mask."""

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Take the K/V of this call's rows, [B, G, T, K]; return the K and V to attend, [B, G, M, K] each."""

    def key_position_M(self, step: Step) -> Tensor:
        """Position of each key that ``append`` will return at this step, int64 [M]. Called before it, of one layer."""

    def reset(self) -> None:
        """Forget everything; called at prefill."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used) that persist between steps once ``length`` keys have been appended."""


@runtime_checkable
class Growing(Protocol):
    """A ``SelfKV`` whose tensors grow at each step, so that a compiled step must not treat their length as constant."""

    def grow_to(self, length: int) -> Sequence[Tensor]:
        """Hold ``length`` placeholder rows to compile with; return the tensors that grow along dimension 2."""


@runtime_checkable
class Reordering(Protocol):
    """A ``SelfKV`` whose rows can be reordered, which beam search needs."""

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Let each sequence go on with the rows of the sequence ``parent_B``, int64 [B], of the same sentence.

        It is called between two steps: ``step`` is the one that comes next, so ``step.length`` - 1 rows are held. All
        layers are called, with the same tensor. What layers share is reordered in the first of them.
        """


@runtime_checkable
class TwoSided(Protocol):
    """A ``Reordering`` store that reorders from one buffer into another, so that its K and V have two addresses."""

    side: int
    """0 or 1: the buffer that holds the rows now. A captured step is captured for each side."""


@runtime_checkable
class InBlocks(Protocol):
    """A ``SelfKV`` that keeps its rows in blocks of a pool. All layers use as many."""

    def blocks_in_use(self, length: int) -> tuple[int, int]:
        """Blocks of one layer (in use, reserved) once ``length`` keys have been appended.

        A block that several sequences share counts once. Call it after decoding, since it may wait for the device.
        """


class Placing(Protocol):
    """A ``SelfKV`` that keeps the K and V of a step of one row in one row of buffers, which may grow before.

    Native code then writes them there itself, instead of calling ``append`` (``stands_for``).
    """

    def place(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """The buffers of K and V, [B, G, C, K] each, of which ``step.keys`` rows are read, and the row, int64 [1].

        It is called once per step, of every layer's store, first layer to last. The row is the same in all layers.
        """


def stands_for(instance: object, method: str, other: str) -> bool:
    """Whether ``method`` may be called instead of ``other``: no subclass redefines ``other`` alone."""
    for kind in type(instance).__mro__:
        if method in vars(kind) or other in vars(kind):
            return method in vars(kind)
    return False


class CrossProject(Protocol):
    """Turns the encoder's output into one layer's cross-attention K and V."""

    @property
    def scale(self) -> float:
        """The factor on the product of queries and K in this layer's scores."""

    def __call__(self, memory_BSD: Tensor, /) -> tuple[Tensor, Tensor]:
        """Project the encoder's output, [B, S, D] -> K, V of [B, G, S, K] each."""


class CrossKV(Protocol):
    """Cross-attention keys and values of one layer, made from the encoder's output."""

    def __init__(self, project: CrossProject, memory_BSD: Tensor) -> None: ...

    def get(self, q_BHTK: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """K and V of the source to attend at this step, [B, G, M, K] each, and the score bias of these M positions.

        It is called once per step. M is S, or fewer where positions are left out. ``q_BHTK`` are the queries of this
        step, [B * W, H, T, K] (with W beams that share the source), and ``bias`` masks padding of all S positions, [B,
        1, 1, S] or None. Most sources look at neither.
        """

    def copy_(self, other: Self) -> None:
        """Copy another source's tensors into this one's, whose addresses a captured step reads."""

    def nbytes(self) -> int:
        """Bytes of K/V that persist between steps."""

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace each tensor that is kept, [B, ...], by ``change`` of it: repeated for beams, or reordered."""


class Kept(Protocol):
    """A ``CrossKV`` that gives the K and V that it keeps, with the bias as it is, whatever the queries are.

    Native code then does not call ``get`` (``stands_for``).
    """

    def kept(self) -> tuple[Tensor, Tensor]:
        """K and V of the source, [B, G, S, K] each."""


class CachedCross:
    """Cross-attention K/V projected once, at prefill; the encoder's output is not kept."""

    def __init__(self, project: CrossProject, memory_BSD: Tensor) -> None:
        self._kv = project(memory_BSD)

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace K and V."""
        k_BGSK, v_BGSK = self._kv
        self._kv = change(k_BGSK), change(v_BGSK)

    def get(self, q_BHTK: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """The K/V projected at prefill, [B, G, S, K] each, and ``bias``."""
        return *self._kv, bias

    def kept(self) -> tuple[Tensor, Tensor]:
        """The K and V projected at prefill, [B, G, S, K] each."""
        return self._kv

    def copy_(self, other: Self) -> None:
        """Copy K and V."""
        for mine, new in zip(self._kv, other._kv, strict=True):
            mine.copy_(new)

    def nbytes(self) -> int:
        """Bytes of K and V."""
        return sum(tensor.nbytes for tensor in self._kv)


class RecomputedCross:
    """Cross-attention K/V projected again at every step from the encoder's output, which is kept."""

    def __init__(self, project: CrossProject, memory_BSD: Tensor) -> None:
        self._project = project
        self._memory_BSD = memory_BSD

    def get(self, q_BHTK: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Newly projected K and V, [B, G, S, K] each, and ``bias``."""
        return *self._project(self._memory_BSD), bias

    def copy_(self, other: Self) -> None:
        """Copy the encoder's output."""
        self._memory_BSD.copy_(other._memory_BSD)

    def map(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace the encoder's output, which all layers share."""
        self._memory_BSD = change(self._memory_BSD)

    def nbytes(self) -> int:
        """0, because no K/V persist."""
        return 0


class PassThrough:
    """A store that remembers nothing and returns the rows it is given. Training and full recompute use it."""

    past_only = False

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Return the arguments: T = M."""
        return k_BGTK, v_BGTK

    def key_position_M(self, step: Step) -> Tensor:
        """Positions of the rows that are fed, because keys and queries are the same rows."""
        return step.query_position_T()

    def reset(self) -> None:
        """Do nothing: there is nothing to forget."""

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Do nothing: the rows to come are computed from the tokens, which the session reorders."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """0 and 0, because nothing persists."""
        return 0, 0
