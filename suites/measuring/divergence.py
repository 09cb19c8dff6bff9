"""How far the next-token distributions of an approximate strategy are from an exact one's, fed the same tokens."""

from __future__ import annotations

import math

from torch import Tensor

from strategies.search.rules import Rules


def kl_nats(exact_XV: Tensor, logits_XV: Tensor) -> Tensor:
    """KL(P || Q) of each row in nats, float64 [X]: P by the exact strategy's logits, Q by those of the other.

    >>> import torch
    >>> even, skewed = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 3.0]]).log1p()  # 1/2 : 1/2 and 1/5 : 4/5
    >>> round(kl_nats(even, skewed).item(), 6) == round(math.log(5 / 4), 6)
    True
    """
    log_p_XV, log_q_XV = (logits.double().log_softmax(-1) for logits in (exact_XV, logits_XV))
    return (log_p_XV.exp() * (log_p_XV - log_q_XV)).sum(-1).clamp_min(0)


class Divergence:
    """Sums up an approximate strategy's distributions beside an exact one's.

    ``rows`` counts the rows of all steps so far, of which the figures are means, shares and largest values.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        """``rules`` say which tokens may be found most likely; without them all may."""
        self._rules = rules
        self._step = self.rows = self._equal = 0
        self._sum_nats = self.kl_max_nats = self.max_error = 0.0

    def add(self, exact_XV: Tensor, logits_XV: Tensor) -> None:
        """Take the logits of the next step, [X, V] of the rows that count, both after the same prefix."""
        self._step += 1
        if not len(exact_XV):
            return
        nats_X = kl_nats(exact_XV, logits_XV)
        self.rows += len(nats_X)
        self._sum_nats += float(nats_X.sum())
        self.kl_max_nats = max(self.kl_max_nats, float(nats_X.max()))
        self.max_error = max(self.max_error, float((exact_XV - logits_XV).abs().max()))
        self._equal += int((self._best(exact_XV) == self._best(logits_XV)).sum())

    def _best(self, logits_XV: Tensor) -> Tensor:
        return self._rules.best(logits_XV, self._step) if self._rules else logits_XV.argmax(-1)

    @property
    def kl_nats(self) -> float:
        """Mean over steps and rows of KL(exact || approximate), in nats; NaN before the first step."""
        return self._sum_nats / self.rows if self.rows else math.nan

    @property
    def top1_equal(self) -> float:
        """Share of steps and rows at which both find the same token most likely of those that may be chosen.

        NaN before the first step.
        """
        return self._equal / self.rows if self.rows else math.nan


def not_finite(logits_XV: Tensor) -> str:
    """Say which row of the logits [X, V] holds NaN or infinity; "" if none does."""
    finite_X = logits_XV.isfinite().all(-1)
    if bool(finite_X.all()):
        return ""
    return f"logits of row {int((~finite_X).nonzero()[0])} are not finite"
