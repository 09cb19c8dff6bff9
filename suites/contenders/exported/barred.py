"""The ids that a model's rules of choice forbid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from strategies.search.rules import Rules

if TYPE_CHECKING:
    from strategies import ModelConfig
    from strategies.search.options import Stop


class Barred:
    """What must not be chosen as each token of sequences of at most ``tgt_len`` tokens: 0 or -inf, added to logits.

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
