"""Greedy search: the most likely token at each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .ends import forbid, is_end, lengths
from .loop import decode
from .options import Stop
from .searching import Chosen, Sequences

if TYPE_CHECKING:
    from ..models.config import ModelConfig
    from ..session import Session


class GreedySearch:
    """Greedy search over one batch of B sentences. A row that has ended is fed padding."""

    def __init__(self, config: ModelConfig, batch: int, stop: Stop, device: torch.device) -> None:
        self._config, self._stop = config, stop
        self._ended_B = torch.zeros(batch, dtype=torch.bool, device=device)
        self._tokens: list[Tensor] = []

    def choose(self, logits_XV: Tensor) -> Chosen:
        """Choose the greatest logit of each row."""
        config = self._config
        if self._stop == "fixed":
            forbid(logits_XV, config.eos_ids, torch.finfo(logits_XV.dtype).min)
            token_B = logits_XV.argmax(-1)
        else:
            token_B = logits_XV.argmax(-1).masked_fill_(self._ended_B, config.pad_id)
            self._ended_B |= is_end(token_B, config.eos_ids)
        self._tokens.append(token_B)
        return Chosen(token_B)

    def has_ended(self) -> bool:
        """Whether every row has ended."""
        return bool(self._ended_B.all())

    def finish(self) -> None:
        """Do nothing: the tokens are those of the steps."""

    def sequences(self) -> Sequences:
        """The tokens of each row."""
        token_BN = torch.stack(self._tokens, 1)
        steps = token_BN.shape[1]
        if self._stop == "fixed":
            return Sequences(token_BN, torch.full_like(token_BN[:, 0], steps))
        return Sequences(token_BN, lengths(token_BN, self._config.eos_ids))

    def ties(self) -> int:
        """0: strategies are compared by logits, and contenders token by token."""
        return 0


def greedy(session: Session, stop: Stop = "eos") -> Iterator[Tensor]:
    """Choose the most likely token at each step of a prefilled session; yields token ids, int64 [B].

    With ``eos``, a row that has ended yields padding, and the search stops when all rows have ended, or after
    ``max_new`` tokens. This waits for the device once per step. With ``fixed``, EOS is never chosen, so exactly
    ``max_new`` tokens come, without waiting for the device.
    """
    config, device = session.model.config, session.model.embedding.weight.device
    return decode(session, GreedySearch(config, session.batch, stop, device), stop)
