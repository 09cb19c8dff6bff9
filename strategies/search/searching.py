"""What the loop asks of a search over one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chosen:
    """What is fed next. ``token_X``: int64 [X], a token for each of the X = B * W rows, W rows of a sentence together.

    ``parent_BW``: int64 [B, W], the beam of the same sentence that each row continues; None where W is 1, as then every
    row continues itself.
    """

    token_X: Tensor
    parent_BW: Tensor | None = None

    def parent_X(self) -> Tensor:
        """The row that each row continues, int64 [X]."""
        if self.parent_BW is None:
            return torch.arange(len(self.token_X), device=self.token_X.device)
        batch, width = self.parent_BW.shape
        return (self.parent_BW + torch.arange(0, batch * width, width, device=self.parent_BW.device)[:, None]).flatten()


@dataclass(frozen=True)
class Sequences:
    """What a search found: R sequences of each sentence, the best first.

    ``token_RN``: int64 [B * R, N], the start token left out, padded after the end of each. ``score_R``: float32
    [B * R], None where a search has no scores. ``length_R``: int64 [B * R], tokens of each, its EOS counted.
    """

    token_RN: Tensor
    length_R: Tensor
    score_R: Tensor | None = None


class Searching(Protocol):
    """One search over one batch: the state that it keeps between steps."""

    def choose(self, logits_XV: Tensor) -> Chosen:
        """Choose from the logits [X, V] of one step, which it may overwrite."""

    def has_ended(self) -> bool:
        """Whether every sentence has ended. It waits for the device; a search of fixed length never asks it."""

    def finish(self) -> None:
        """Put together what was found, once, after the last ``choose``: the loop calls it within the last step."""

    def sequences(self) -> Sequences:
        """What was found, after ``finish``."""

    def told(self) -> dict[str, float]:
        """Figures of what was chosen, by name, for whoever writes them down."""

    def ties(self) -> int:
        """Number of choices so far that rounding within ``tolerance`` could turn; 0 where none was given."""
