"""Greedy search: the most likely token at each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .loop import decode
from .options import SearchError, Stop
from .rows import Rows
from .rules import Rules
from .searching import Chosen, Sequences

if TYPE_CHECKING:
    from ..models.config import ModelConfig
    from ..session import Session


class GreedySearch:
    """Greedy search over one batch of B sentences. A row that has ended is fed padding."""

    def __init__(self, config: ModelConfig, batch: int, max_new: int, stop: Stop, device: torch.device) -> None:
        self._rules = Rules(config, max_new, stop, device)
        self._rows = Rows(config, batch, stop, device)

    def choose(self, logits_XV: Tensor) -> Chosen:
        """Choose the greatest logit of each row."""
        self._rules.apply(logits_XV, self._rows.length + 1)
        # The same as argmax, the first of equal ones included, in a third of its time on a CPU.
        return Chosen(self._rows.append(logits_XV.max(-1).indices))

    def has_ended(self) -> bool:
        """Whether every row has ended."""
        return self._rows.have_ended()

    def finish(self) -> None:
        """Do nothing: the tokens are those of the steps."""

    def sequences(self) -> Sequences:
        """The tokens of each row."""
        return self._rows.sequences()

    def told(self) -> dict[str, float]:
        """Nothing."""
        return {}

    def ties(self) -> int:
        """0: strategies are compared by logits, and contenders token by token."""
        return 0


def greedy(session: Session, stop: Stop = "eos") -> Iterator[Tensor]:
    """Choose the most likely token at each step of a prefilled session; yields token ids, int64 [B].

    With ``eos``, a row that has ended yields padding, and the search stops when all rows have ended, or after
    ``max_new`` tokens. This waits for the device once per step. With ``fixed``, EOS is never chosen, so exactly
    ``max_new`` tokens come, without waiting for the device. Raises SearchError for a session of several beams.
    """
    if session.beams > 1:
        raise SearchError(
            f"greedy search has one beam, and this session has {session.beams}; give "
            f"decode(session, begin(Beam({session.beams}), ...)), or a session of one beam"
        )
    config, device = session.model.config, session.model.embedding.weight.device
    return decode(session, GreedySearch(config, session.batch, session.max_new, stop, device), stop)
