"""Beam search: the best W sequences of each sentence go on, and those that have ended are kept apart.

It finds the sequences and scores that ``generate(num_beams=W)`` of transformers 5.24 finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .backpointers import follow
from .beam_ties import BeamTies
from .continuations import best_continuations, count_of
from .ends import is_end
from .hypotheses import Hypotheses, attainable, normalised
from .options import Beam, SearchError, Stop
from .rules import Rules
from .searching import Chosen, Sequences

if TYPE_CHECKING:
    from ..models.config import ModelConfig


class BeamSearch:
    """Beam search over one batch of B sentences, of W rows each.

    With ``eos``, a sentence has J = max(2, 1 + number of EOS ids) * W continuations to choose from, so that W of them
    do not end. Those that end among the first W become hypotheses, and so do all of the first W at the last step. With
    ``fixed``, none can end before that, and J is W.

    A sentence that is done takes no further hypothesis. Its rows go on beside those of the others.
    """

    def __init__(
        self,
        beam: Beam,
        config: ModelConfig,
        batch: int,
        max_new: int,
        stop: Stop,
        device: torch.device,
        tolerance: float | None = None,
    ) -> None:
        """Raises SearchError if ``max_new`` to the power of the length penalty is out of the range of float32."""
        if line := beam.out_of_range(max_new):
            raise SearchError(line)
        self._beam, self._config, self._stop, self._max_new = beam, config, stop, max_new
        self._rules = Rules(config, max_new, stop, device)
        width, vocab = beam.num_beams, config.vocab_size
        self._count = width if stop == "fixed" else count_of(width, config.eos_ids)
        self._hypotheses = Hypotheses(batch, width, width * vocab, device)
        self._done_B = torch.zeros(batch, dtype=torch.bool, device=device)
        # The beams of a sentence are alike at first, so only one of them is continued.
        self._score_BW = torch.full((batch, width), -torch.inf, device=device)
        self._score_BW[:, 0] = 0
        self._ties = None if tolerance is None else BeamTies(beam, config, batch, max_new, stop, device, tolerance)
        self._parents: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._found: Sequences | None = None

    def choose(self, logits_XV: Tensor) -> Chosen:
        """Choose the W sequences of each sentence that go on."""
        width, length = self._beam.num_beams, len(self._tokens) + 1
        logprob_XV = logits_XV.log_softmax(-1, dtype=torch.float32)
        # After the softmax, and so without raising the probabilities of the other tokens: as transformers has it.
        self._rules.apply(logprob_XV, length)
        if self._ties is not None:
            self._ties.look(logits_XV, logprob_XV, self._score_BW, self._done_B, length)
        score_BJ, index_BJ = best_continuations(logprob_XV, self._score_BW, self._count)
        if self._stop == "eos":
            score_BW, index_BW = self._set_apart(score_BJ, index_BJ, length)
        else:
            score_BW, index_BW = score_BJ, index_BJ
            if length == self._max_new:
                self._hypotheses.add(normalised(score_BW, length, self._beam), index_BW, length)
        parent_BW = index_BW // self._config.vocab_size
        token_BW = index_BW - parent_BW * self._config.vocab_size
        self._score_BW = score_BW
        self._parents.append(parent_BW)
        self._tokens.append(token_BW)
        return Chosen(token_BW.flatten(), parent_BW if width > 1 else None)

    def _set_apart(self, score_BJ: Tensor, index_BJ: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Keep those that end as hypotheses; return (scores, indices) of the W that go on, the best first."""
        beam, width = self._beam, self._beam.num_beams
        is_end_BJ = is_end(index_BJ % self._config.vocab_size, self._config.eos_ids)
        best = score_BJ.masked_fill(is_end_BJ, -torch.inf).topk(width)
        kept_BW = self._done_B[:, None].expand(-1, width)
        if length < self._max_new:
            kept_BW = kept_BW | ~is_end_BJ[:, :width]
        ended_BW = normalised(score_BJ[:, :width], length, beam).masked_fill(kept_BW, -torch.inf)
        self._hypotheses.add(ended_BW, index_BJ[:, :width], length)
        worst_B = self._hypotheses.score_BJ[:, -1]
        if beam.early_stopping == "true":
            self._done_B |= worst_B > -torch.inf
        else:
            self._done_B |= attainable(best.values[:, 0], length, self._max_new, beam) <= worst_B
        return best.values, index_BJ.gather(1, best.indices)

    def has_ended(self) -> bool:
        """Whether every sentence is done."""
        return bool(self._done_B.all())

    def finish(self) -> None:
        """Read the returned sequences off the steps."""
        index_BR, length_BR, score_BR = self._hypotheses.best(self._beam.num_return)
        parent_BR = index_BR // self._config.vocab_size
        token_BR = index_BR - parent_BR * self._config.vocab_size
        parent_NBW, token_NBW = torch.stack(self._parents), torch.stack(self._tokens)
        token_BRN = follow(parent_NBW, token_NBW, parent_BR, token_BR, length_BR, self._config.pad_id)
        self._found = Sequences(token_BRN.flatten(0, 1), length_BR.flatten(), score_BR.flatten())
        if self._ties is not None:
            self._ties.finish()

    def sequences(self) -> Sequences:
        """The best R hypotheses of each sentence; one that was never found has length 0 and the score -inf."""
        assert self._found is not None, "sequences before finish"
        return self._found

    def ties(self) -> int:
        """Cuts and orders that rounding within the tolerance could turn (see ``BeamTies``)."""
        return 0 if self._ties is None else self._ties.count()

    def tied_B(self) -> Tensor:
        """Ties of each sentence, int64 [B]; zeros where none were counted."""
        return torch.zeros_like(self._done_B, dtype=torch.int64) if self._ties is None else self._ties.count_B

    def told(self) -> dict[str, float]:
        """``search_ties`` and, where rows continued others, ``moved_share``."""
        moved = self.moved_share()
        return {"search_ties": self.ties(), **({} if moved is None else {"moved_share": moved})}

    def moved_share(self) -> float | None:
        """The share of rows that continued another beam than their own, over all steps that another followed.

        None if there is no such step. All rows count, also those of sentences that are done.
        """
        if len(self._parents) < 2:
            return None
        parent_NBW = torch.stack(self._parents[:-1])
        own_W = torch.arange(parent_NBW.shape[-1], device=parent_NBW.device)
        return float((parent_NBW != own_W).float().mean())
