"""Ties of sampling: draws that rounding could turn, counted beside a search that is not timed."""

from __future__ import annotations

import torch
from torch import Tensor

from .cuts import cut_top_k
from .options import Sample


class SampleTies:
    """Counts the draws of rows that have not ended that a small difference of the logits could turn.

    If every logit may be off by some amount, the log-odds of a sum of probabilities, log(c / (1 - c)), may be off by
    twice that. A draw is a tie

    - where the log-odds of the uniform number are as near to those of a boundary of the token drawn;
    - where the log-odds of ``top_p`` are as near to those of a sum of the greatest probabilities;
    - where the ``top_k``-th logit is as near to the next.

    A cut that is near is a tie even where the token drawn is far from it, because every boundary moves with it.
    """

    def __init__(self, sample: Sample, device: torch.device) -> None:
        self._sample = sample
        self._count = torch.zeros((), dtype=torch.int64, device=device)

    def look(
        self,
        margin: Tensor,
        logits_XV: Tensor,
        upto_XV: Tensor,
        uniform_B1: Tensor,
        token_B: Tensor,
        ended_B: Tensor,
    ) -> None:
        """Look at the draw of ``token_B`` from ``upto_XV``, the sums of probabilities up to each id.

        ``margin``, float32 [], is what two logits may be off by together; logits of ids that are never drawn are -inf.
        """
        sample = self._sample
        margin = margin / sample.temperature
        upper_B1 = upto_XV.gather(1, token_B[:, None])
        lower_B1 = torch.where(token_B[:, None] > 0, upto_XV.gather(1, (token_B[:, None] - 1).clamp(min=0)), 0)
        boundary_B2 = torch.cat([lower_B1, upper_B1], 1) / upto_XV[:, -1:]
        tied_B = _are_near(boundary_B2, uniform_B1, margin)
        scaled_XV = logits_XV.float() / sample.temperature
        if 0 < sample.top_k < logits_XV.shape[1]:
            greatest_XJ = scaled_XV.topk(sample.top_k + 1).values
            tied_B |= greatest_XJ[:, -2] - greatest_XJ[:, -1] <= margin
            scaled_XV = cut_top_k(scaled_XV, sample.top_k)
        if sample.top_p < 1:
            sum_XV = scaled_XV.sort(-1, descending=True).values.softmax(-1).cumsum(-1, dtype=torch.float64)
            tied_B |= _are_near(sum_XV, torch.full_like(sum_XV[:, :1], sample.top_p), margin)
        self._count += (tied_B & ~ended_B).sum()

    def count(self) -> int:
        """Number of ties so far. It waits for the device."""
        return int(self._count)


def _are_near(sum_XJ: Tensor, number_X1: Tensor, margin: Tensor) -> Tensor:
    """Where the log-odds of a number and of one of the sums differ by no more than ``margin``: bool [X]."""
    return ((sum_XJ.logit() - number_X1.logit()).abs() <= margin).any(1)
