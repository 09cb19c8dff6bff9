"""A decoder step that chooses its tokens itself, and what its model's rules leave to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strategies.search.rules import Rules

from .sides import StepSide

if TYPE_CHECKING:
    from strategies import ModelConfig
    from strategies.search.options import Stop


class ChoosingStep(nn.Module):
    """A ``StepSide`` with greedy search: (token_B1, barred_V, mask_BS, cross, past) -> (token_B1, k_0, v_0, ...).

    ``barred_V`` is float32, 0 or -inf, and is added to the logits. So only the ids that are chosen leave the step.
    """

    def __init__(self, step: StepSide) -> None:
        super().__init__()
        self.step = step

    def forward(
        self, token_B1: Tensor, barred_V: Tensor, mask_BS: Tensor, cross: Sequence[Tensor], past: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Choose the next token of each sentence."""
        logits_BV, *present = self.step(token_B1, mask_BS, cross, past)
        return ((logits_BV + barred_V).argmax(-1, keepdim=True), *present)


class Barred:
    """What must not be chosen as each token of sequences of at most ``tgt_len`` tokens, as ``ChoosingStep`` reads it.

    It holds what the model's ``Rules`` make of scores of zero. A forced token is the only one that is not barred.
    """

    def __init__(self, config: ModelConfig, tgt_len: int, stop: Stop) -> None:
        rules = Rules(config, tgt_len, stop, torch.device("cpu"))
        self._at: dict[int, NDArray[np.float32]] = {}
        self._tgt_len = tgt_len
        # All tokens between the first and the last have the same rules.
        for length in {1, min(2, tgt_len), tgt_len}:
            score_1V = torch.zeros(1, config.vocab_size)
            rules.apply(score_1V, length)
            self._at[length] = score_1V[0].numpy()

    def __call__(self, length: int) -> NDArray[np.float32]:
        """Barred ids for token ``length`` (1 to ``tgt_len``), float32 [V]."""
        return self._at[length if length in (1, self._tgt_len) else 2]
