"""Hypotheses: the sequences of beam search that have ended, and their scores."""

from __future__ import annotations

import torch
from torch import Tensor

from .options import Beam


def normalised(logprob: Tensor, length: int, beam: Beam) -> Tensor:
    """Scores of sequences of ``length`` tokens, from the sums of their log-probabilities."""
    return logprob / length**beam.length_penalty


def attainable(logprob: Tensor, length: int, max_new: int, beam: Beam) -> Tensor:
    """The scores that sequences of ``length`` tokens are taken to attain if they go on: if no further token cost any.

    Where sequences may stop early, they are taken to end now. With "never" and a positive penalty, a longer sequence of
    the same log-probability is better, so they are taken to reach ``max_new``.
    """
    is_longer_better = beam.early_stopping == "never" and beam.length_penalty > 0
    return normalised(logprob, max_new if is_longer_better else length, beam)


class Hypotheses:
    """The best J = ``kept`` sequences of each sentence that have ended, the best first.

    ``score_BJ`` are their scores, -inf where fewer have ended.
    """

    def __init__(self, batch: int, kept: int, indices: int, device: torch.device) -> None:
        """``indices`` is the number of continuations of a sentence, W * V."""
        self._indices = indices
        self.score_BJ = torch.full((batch, kept), -torch.inf, device=device)
        # length * W * V + index: one number for each hypothesis, so that reordering them takes one gather.
        self._code_BJ = torch.zeros(batch, kept, dtype=torch.int64, device=device)

    def add(self, score_BJ: Tensor, index_BJ: Tensor, length: int) -> None:
        """Take sequences of ``length`` tokens; a score of -inf marks those that have not ended.

        ``index_BJ`` is the index of the continuation by which each ended: ``beam * V + token``.
        """
        score_BJ = torch.cat([self.score_BJ, score_BJ], 1)
        code_BJ = torch.cat([self._code_BJ, index_BJ + length * self._indices], 1)
        best = score_BJ.topk(self.score_BJ.shape[1])
        self.score_BJ, self._code_BJ = best.values, code_BJ.gather(1, best.indices)

    def best(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """(index, length, score) of the best ``count`` of each sentence, [B, count]; length 0 where fewer ended."""
        score_BR, code_BR = self.score_BJ[:, :count], self._code_BJ[:, :count]
        length_BR = (code_BR // self._indices).masked_fill_(score_BR == -torch.inf, 0)
        return code_BR % self._indices, length_BR, score_BR
