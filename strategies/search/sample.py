"""Sampling: the next token is drawn from the softmax of the logits, cut to the most likely ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .cuts import cut
from .margin import margin_of
from .options import Sample, Stop
from .rows import Rows
from .rules import Rules
from .sample_ties import SampleTies
from .searching import Chosen, Sequences

if TYPE_CHECKING:
    from ..models.config import ModelConfig


def cumulative(logits_XV: Tensor) -> Tensor:
    """The probabilities of ids 0 to v, for each id v: float64 [X, V].

    In float64, because 30,000 small probabilities are added.
    """
    return logits_XV.softmax(-1).cumsum(-1, dtype=torch.float64)


class SampleSearch:
    """Sampling for one batch of B sentences. A row that has ended is fed padding.

    There is one uniform number for each row and step, made from the seed on the CPU, and so the same for every strategy
    and device. A row takes the first id up to which the probabilities exceed its number (inversion of the distribution
    function). Strategies whose logits differ by rounding thus draw the same tokens, except for ties.
    """

    def __init__(
        self,
        sample: Sample,
        config: ModelConfig,
        batch: int,
        max_new: int,
        stop: Stop,
        device: torch.device,
        seed: int = 0,
        tolerance: float | None = None,
    ) -> None:
        self._sample, self._tolerance = sample, tolerance
        self._rules = Rules(config, max_new, stop, device)
        self._rows = Rows(config, batch, stop, device)
        # Multiples of 2**-24 below 1, so that in float64 a product with a sum of probabilities stays below that sum.
        uniform_NB = torch.rand(max_new, batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
        self._uniforms = iter(uniform_NB.double().to(device)[:, :, None])
        self._ties = None if tolerance is None else SampleTies(sample, device)

    def choose(self, logits_XV: Tensor) -> Chosen:
        """Draw a token for each row."""
        margin = None
        if self._tolerance is not None:  # before the rules: rounding is of the size of all logits
            margin = margin_of(logits_XV.masked_fill(logits_XV == -torch.inf, 0), self._tolerance)
        self._rules.apply(logits_XV, self._rows.length + 1)
        uniform_B1 = next(self._uniforms)
        upto_XV = cumulative(cut(logits_XV, self._sample))
        token_B = torch.searchsorted(upto_XV, uniform_B1 * upto_XV[:, -1:], right=True)[:, 0]
        if self._ties is not None and margin is not None:
            self._ties.look(margin, logits_XV, upto_XV, uniform_B1, token_B, self._rows.ended_B)
        return Chosen(self._rows.append(token_B))

    def has_ended(self) -> bool:
        """Whether every row has ended."""
        return self._rows.have_ended()

    def finish(self) -> None:
        """Do nothing: the tokens are those of the steps."""

    def sequences(self) -> Sequences:
        """The tokens of each row."""
        return self._rows.sequences()

    def told(self) -> dict[str, float]:
        """``search_ties``."""
        return {"search_ties": self.ties()}

    def ties(self) -> int:
        """Draws and cuts that rounding within the tolerance could turn (see ``SampleTies``)."""
        return 0 if self._ties is None else self._ties.count()
