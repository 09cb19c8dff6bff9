"""The beams of a session: which row goes on from which, and the checks of what a search asks for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .models.stores import Reordering, SelfKV, Step, TwoSided
from .strategy import Strategy, StrategyError


class Beams:
    """The W sequences of each of the B sentences of a session, in X = B * W rows.

    ``are_selected`` says whether the next step may run. ``two_sided`` is a store whose K/V have two addresses, if the
    stores are of that kind and are reordered.
    """

    def __init__(self, bound: Strategy, stores: Sequence[SelfKV], batch: int, width: int, device: torch.device) -> None:
        """Raises StrategyError if several beams are asked of stores that cannot be reordered."""
        if width > 1 and not all(isinstance(store, Reordering) for store in stores):
            raise StrategyError(
                f"{bound.label}: its store has no select(parent_B, step), which {width} beams need; add it, or give "
                "search=greedy"
            )
        first = stores[0]
        self.two_sided = first if width > 1 and isinstance(first, TwoSided) else None
        self.are_selected = True
        self._batch, self._width = batch, width
        self._first_row_B1 = torch.arange(0, batch * width, width, device=device)[:, None]

    def own_BW(self) -> Tensor:
        """Parents by which each row goes on with itself, int64 [B, W]."""
        return torch.arange(self._width, device=self._first_row_B1.device).expand(self._batch, -1)

    def rows(self, parent_BW: Tensor) -> Tensor:
        """The row that each row goes on from, int64 [X]."""
        return (parent_BW + self._first_row_B1).flatten()

    def require(self, parent_BW: Tensor, is_over: bool) -> None:
        """Raise StrategyError for parents of another shape, or where beams are not to be selected now."""
        if parent_BW.shape != (self._batch, self._width):
            raise StrategyError(
                f"parents of shape {list(parent_BW.shape)} in a session for {self._width} beams of {self._batch} "
                f"sentences; give {[self._batch, self._width]}"
            )
        if self.are_selected or is_over:
            raise StrategyError("select(parent_BW) is called once after each step but the last; leave this call out")

    def read_side(self, step: Step) -> None:
        """Note in ``step`` at which of two addresses K/V are now."""
        if self.two_sided is not None:
            step.side = self.two_sided.side
