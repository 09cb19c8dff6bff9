"""A self-attention KV cache of the first keys and the last ones, in a ring that is written in place.

Attending to a window of the last keys alone breaks a model that was trained on all of them as soon as the first keys
leave, because many heads give much of their weight to these, its attention sinks. Keeping a few of them mends most of
it (Xiao et al. 2023, StreamingLLM, arXiv 2309.17453). StreamingLLM counts positions within the cache. Here each key
keeps its position in the target, so that T5's bias by distance is that of the whole target.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .static_kv import StaticStore
from .strategy import Execution, Strategy, StrategyError, register


class Ring:
    """Which of R rows holds which position: the first ``sinks`` for good, later ones in turn. Layers share it."""

    def __init__(self, shape: KVShape, rows: int, sinks: int, window: int) -> None:
        self.rows, self._sinks, self._window = rows, sinks, window
        self.row_1 = torch.zeros(1, dtype=torch.int64, device=shape.device)
        self._row_R = torch.arange(rows, device=shape.device)
        # Positions after which a row is written again: for those of sinks, more than there are.
        self._period_R = torch.where(self._row_R < sinks, shape.max_new, window)

    def move_to(self, position_1: Tensor) -> None:
        """Let ``row_1`` be the row that the key at this position is written to."""
        laps_1 = (position_1 - self._sinks).div_(self._window, rounding_mode="floor").clamp_(min=0)
        torch.sub(position_1, laps_1, alpha=self._window, out=self.row_1)

    def position_R(self, position_1: Tensor) -> Tensor:
        """Position of the key that each row holds after the step at ``position_1``, int64 [R].

        A row that is not filled yet has the position of the first key that it will hold, which lies ahead.
        """
        age_R = (position_1 - self._row_R).remainder_(self._period_R)
        return torch.maximum(position_1 - age_R, self._row_R)


class SlidingStore(StaticStore):
    """K and V of one layer in buffers of [B, G, R, K], whose rows a ``Ring`` gives out."""

    def __init__(self, shape: KVShape, ring: Ring, first: bool, past_only: bool) -> None:
        """``first`` says whether this is the first layer's store, which moves the ring.

        ``past_only``: whether a step reads no row beyond those that are filled.
        """
        super().__init__(shape, ring.rows, "filled" if past_only else "buffer")
        self._ring, self._first = ring, first

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write the new row over the oldest one of the window. Several rows, those of a prefix, fit into the ring."""
        if step.rows > 1:
            return self._written(step.query_position_T(), k_BGTK, v_BGTK, step.keys)
        if self._first:
            self._ring.move_to(step.position_1)
        return self._written(self._ring.row_1, k_BGTK, v_BGTK, step.keys)

    def place(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """The whole buffers, and the row of the key that leaves the window."""
        if self._first:
            self._ring.move_to(step.position_1)
        return self._k_BGCK, self._v_BGCK, self._ring.row_1

    def key_position_M(self, step: Step) -> Tensor:
        """Positions in the target of the keys that are held, in the order of their rows, int64 [M]."""
        return self._ring.position_R(step.position_1)[: step.keys]

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Copy the filled rows into the other buffers, in the new order."""
        super().select(parent_B, dataclasses.replace(step, length=min(step.length - 1, self._ring.rows) + 1))

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used): the rows used are at most those of the ring."""
        return super().nbytes(min(length, self._ring.rows))


@register("sliding_kv")
@dataclass(frozen=True)
class SlidingKV(Strategy):
    """Self-attention K/V of the first keys and the last ones; cross-attention K/V cached.

    Approximate: a step attends the first ``sinks`` keys and the last ``window``, the new one included. Those between
    are lost, so up to a target of ``sinks + window`` tokens nothing is.
    """

    window: int = 64
    sinks: int = 4

    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, value, least in (("window", self.window, 1), ("sinks", self.sinks, 0)):
            if value < least:
                raise StrategyError(f"sliding_kv: {name}={value} is not allowed; give at least {least}")

    def bind(self, max_new: int) -> Self:
        """This strategy for targets of at most ``max_new`` tokens, with no more sinks and no longer window than these.

        What is attended stays the same.
        """
        sinks = min(self.sinks, max_new - 1)
        return dataclasses.replace(self, sinks=sinks, window=min(self.window, max_new - sinks))

    def open(self, shape: KVShape, layers: int) -> Sequence[SelfKV]:
        """A store for each layer, which share a ring; with beams, each has two buffers."""
        ring = Ring(shape, self._rows, self.sinks, self.window)
        past_only = self.execution == "eager"
        return [SlidingStore(shape, ring, first=layer == 0, past_only=past_only) for layer in range(layers)]

    def keys_read(self, k: int) -> int:
        """The keys held. A compiled or captured step, which is the same for every k, reads rows to be filled too."""
        return min(k, self._rows) if self.execution == "eager" else self._rows

    def rows_reserved(self, k: int) -> int:
        """Those of the ring: sinks and window, and no more than the target has."""
        return self._rows

    def rows_reordered(self, k: int) -> int:
        """The rows held."""
        return min(k, self._rows)

    def rows_spare(self, k: int) -> int:
        """Those of the ring once more."""
        return self._rows

    @property
    def supports(self) -> frozenset[Execution]:
        """Every execution: rows and positions follow from the device's position alone."""
        return frozenset({"eager", "compiled", "graph"})

    @property
    def _rows(self) -> int:
        return self.sinks + self.window
