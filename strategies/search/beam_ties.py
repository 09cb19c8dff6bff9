"""Ties of beam search: what rounding could turn, counted beside a search that is not timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .continuations import best_continuations, count_of
from .ends import is_end
from .hypotheses import Hypotheses, attainable, normalised
from .margin import margin_of
from .options import Beam, Stop

if TYPE_CHECKING:
    from ..models.config import ModelConfig


class BeamTies:
    """Counts the choices of a beam search that a small difference could turn.

    Sums of log-probabilities that differ by no more than twice the tolerance are a tie, as two logits are in greedy
    search; scores are compared likewise, after the margin is divided as they are. Counted are, for each sentence:

    - at each step until it is done, that a tie decides which sequences go on, or which of those that end are kept;
    - at each step until it is done, that a tie decides whether it is done;
    - at the end, that a tie decides which sequences are returned, or their order.

    Sequences that go on in another order are no tie, as the order changes no result.
    """

    def __init__(
        self,
        beam: Beam,
        config: ModelConfig,
        batch: int,
        max_new: int,
        stop: Stop,
        device: torch.device,
        tolerance: float,
    ) -> None:
        self._beam, self._config, self._max_new, self._stop, self._tolerance = beam, config, max_new, stop, tolerance
        width = beam.num_beams
        # The first that is not kept is looked at, too.
        self._hypotheses = Hypotheses(batch, width + 1, width * config.vocab_size, device)
        self._margin = torch.zeros((), device=device)
        self.count_B = torch.zeros(batch, dtype=torch.int64, device=device)
        """Ties of each sentence so far."""

    def look(self, logits_XV: Tensor, logprob_XV: Tensor, score_BW: Tensor, done_B: Tensor, length: int) -> None:
        """Look at the step that chooses token ``length`` of each sequence, before the search takes it."""
        width, is_last = self._beam.num_beams, length == self._max_new
        margin = margin_of(logits_XV, self._tolerance)
        self._margin = torch.maximum(self._margin, margin)
        count = count_of(width, self._config.eos_ids) + 1
        score_BJ, index_BJ = best_continuations(logprob_XV, score_BW, count)
        is_end_BJ = is_end(index_BJ % self._config.vocab_size, self._config.eos_ids)
        self._keep(score_BJ, index_BJ, is_end_BJ, done_B, length)
        if is_last:
            return
        going_BJ = score_BJ.masked_fill(is_end_BJ, -torch.inf).sort(descending=True).values
        tied_B = _cut_near(going_BJ, width, margin).any(1)
        if self._stop == "eos":
            tied_B |= (_cut_near(score_BJ, width, margin) & is_end_BJ).any(1)
            self.count_B += self._end_near(going_BJ[:, 0], length, margin) & ~done_B
        self.count_B += tied_B & ~done_B

    def _keep(self, score_BJ: Tensor, index_BJ: Tensor, is_end_BJ: Tensor, done_B: Tensor, length: int) -> None:
        """Keep hypotheses as the search does; after the last step also the first that it does not keep."""
        columns = self._beam.num_beams
        left_out_BJ = ~is_end_BJ | done_B[:, None]
        if length == self._max_new:
            columns += 1
            left_out_BJ = done_B[:, None].expand_as(score_BJ)
        ended_BJ = normalised(score_BJ, length, self._beam).masked_fill(left_out_BJ, -torch.inf)
        self._hypotheses.add(ended_BJ[:, :columns], index_BJ[:, :columns], length)

    def _end_near(self, best_B: Tensor, length: int, margin: Tensor) -> Tensor:
        """Where the best sequence that goes on, and the worst hypothesis that it must exceed, are a tie: bool [B]."""
        beam, max_new = self._beam, self._max_new
        worst_B = self._hypotheses.score_BJ[:, beam.num_beams - 1]
        if beam.early_stopping == "true":
            return torch.zeros_like(worst_B, dtype=torch.bool)
        gap_B = (attainable(best_B, length, max_new, beam) - worst_B).abs()
        return gap_B <= attainable(margin, length, max_new, beam)

    def finish(self) -> None:
        """Look at the hypotheses that are returned, and the first that is not."""
        _, length_BJ, score_BJ = self._hypotheses.best(self._beam.num_return + 1)
        margin_BJ = self._margin / length_BJ**self._beam.length_penalty
        gap_BJ = score_BJ[:, :-1] - score_BJ[:, 1:]
        near_BJ = gap_BJ <= torch.maximum(margin_BJ[:, :-1], margin_BJ[:, 1:])
        self.count_B += (near_BJ & (length_BJ[:, 1:] > 0)).any(1)

    def count(self) -> int:
        """Number of ties so far. It waits for the device."""
        return int(self.count_B.sum())


def _cut_near(score_BJ: Tensor, kept: int, margin: Tensor) -> Tensor:
    """Which scores, sorted, a difference of ``margin`` could move across the cut after the first ``kept``."""
    if score_BJ.shape[1] <= kept:
        return torch.zeros_like(score_BJ, dtype=torch.bool)
    last_B1, next_B1 = score_BJ[:, kept - 1 : kept], score_BJ[:, kept : kept + 1]
    is_kept_J = torch.arange(score_BJ.shape[1], device=score_BJ.device) < kept
    return torch.where(is_kept_J, score_BJ - next_B1, last_B1 - score_BJ) <= margin
