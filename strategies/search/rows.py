"""What a search of one row per sentence keeps: the tokens of each row, and which rows have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .ends import is_end, lengths
from .options import Stop
from .searching import Sequences

if TYPE_CHECKING:
    from ..models.config import ModelConfig


class Rows:
    """The tokens of B rows so far. With ``eos``, a row that has ended takes padding."""

    def __init__(self, config: ModelConfig, batch: int, stop: Stop, device: torch.device) -> None:
        self._config, self._stop = config, stop
        self.ended_B = torch.zeros(batch, dtype=torch.bool, device=device)
        self._tokens: list[Tensor] = []

    def append(self, token_B: Tensor) -> Tensor:
        """Take the tokens chosen for each row, which it may overwrite; return those that the rows are fed."""
        if self._stop == "eos":
            token_B.masked_fill_(self.ended_B, self._config.pad_id)
            self.ended_B |= is_end(token_B, self._config.eos_ids)
        self._tokens.append(token_B)
        return token_B

    @property
    def length(self) -> int:
        """Number of steps taken so far."""
        return len(self._tokens)

    def have_ended(self) -> bool:
        """Whether every row has ended. It waits for the device."""
        return bool(self.ended_B.all())

    def sequences(self) -> Sequences:
        """The tokens of each row."""
        token_BN = torch.stack(self._tokens, 1)
        if self._stop == "fixed":
            return Sequences(token_BN, torch.full_like(token_BN[:, 0], token_BN.shape[1]))
        return Sequences(token_BN, lengths(token_BN, self._config.eos_ids))
