"""Rules of choice: ids that may not be chosen, and the end that is forced at the last step.

They are those of ``generate()`` of transformers (``suppress_tokens``, ``begin_suppress_tokens``,
``forced_eos_token_id``). In greedy search and sampling they act on logits. In beam search they act on
log-probabilities, which are not made to add up to 1 again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .options import Stop

if TYPE_CHECKING:
    from ..models.config import ModelConfig


class Rules:
    """The rules of a model for sequences of at most ``max_new`` tokens.

    ``suppress_ids`` are never chosen, and ``begin_suppress_ids`` not as the first token. With ``fixed``, no EOS id is
    chosen. With ``eos``, ``forced_eos_id`` is chosen as token ``max_new`` of every sequence that has not ended.

    Ids are copied to the device once, here, so ``apply`` neither copies anything from the host nor waits.
    """

    def __init__(self, config: ModelConfig, max_new: int, stop: Stop, device: torch.device) -> None:
        never = {*config.suppress_ids, *(config.eos_ids if stop == "fixed" else ())}
        self._never = _ids(never, device)
        self._not_first = _ids(set(config.begin_suppress_ids) - never, device)
        self._forced_id = config.forced_eos_id if stop == "eos" else None
        self._max_new = max_new

    def apply(self, score_XV: Tensor, length: int) -> None:
        """Set the scores of all ids that may not be token ``length`` (1 to ``max_new``) to -inf, in place."""
        if length == self._max_new and self._forced_id is not None:
            score_XV.fill_(-torch.inf)
            score_XV[:, self._forced_id] = 0
            return
        if self._never is not None:
            score_XV.index_fill_(1, self._never, -torch.inf)
        if length == 1 and self._not_first is not None:
            score_XV.index_fill_(1, self._not_first, -torch.inf)

    def best(self, logits_XV: Tensor, length: int) -> Tensor:
        """The most likely of the ids that may be token ``length``, int64 [X]. The logits stay as they are."""
        if self._never is not None or self._not_first is not None or self._forced_id is not None:
            logits_XV = logits_XV.clone()
            self.apply(logits_XV, length)
        return logits_XV.argmax(-1)


def _ids(ids: Collection[int], device: torch.device) -> Tensor | None:
    """Ids as an index on the device; None where there are none."""
    return torch.tensor(sorted(ids), device=device) if ids else None


def without_force(config: ModelConfig, device: torch.device) -> Rules:
    """Rules of choice where every sentence may end, and none is made to."""
    return Rules(replace(config, forced_eos_id=None), 1, "eos", device)
