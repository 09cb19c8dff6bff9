"""The decoder prefix of a session: the tokens with which every target is forced to begin."""

from __future__ import annotations

import torch
from torch import Tensor

from .models.config import ModelConfig
from .strategy import Strategy, StrategyError


def prefix_rows(bound: Strategy, prefix_len: int) -> int:
    """Rows of a prefix of P = ``prefix_len`` tokens that prefill feeds: those that the first step does not.

    Raises StrategyError if a strategy, bound to a target length, would lose some of them.
    """
    fed = prefix_len - bound.rows_fed(prefix_len)
    if fed and bound.keys_read(fed) < fed:
        raise StrategyError(
            f"{bound.label}: a decoder prefix of {prefix_len} tokens has {fed} rows before the first step, and the "
            f"strategy keeps {bound.keys_read(fed)} of them; give an option by which it keeps more"
        )
    return fed


class Prefix:
    """The P forced tokens of each of the X = B * W rows of a session: the model's own, or others for a batch.

    ``fed`` is the number of them that prefill feeds. ``token_XP`` are those of the batch, int64 [X, P].
    """

    def __init__(
        self, config: ModelConfig, bound: Strategy, length: int, batch: int, beams: int, device: torch.device
    ) -> None:
        """Raises StrategyError if ``bound`` would lose some of their rows."""
        self.fed = prefix_rows(bound, length)
        self._is_own = length == config.prefix_len
        own = config.prefix if self._is_own else (config.start_id,) * length
        self._own_XP = torch.tensor(own, device=device).repeat(batch * beams, 1)
        self.token_XP = self._own_XP
        self._shape, self._beams, self._vocab_size = [batch, length], beams, config.vocab_size

    @property
    def own_BP(self) -> Tensor:
        """The model's own for each sentence, or start tokens where it has another number of them."""
        return self._own_XP[:: self._beams]

    def take(self, prefix_BP: Tensor | None) -> None:
        """Take the tokens of a batch; None stands for the model's own.

        Raises StrategyError for another shape, and for ids outside the vocabulary. These are looked for on the CPU
        alone, as another device would be waited for.
        """
        if prefix_BP is None and self._is_own:
            self.token_XP = self._own_XP
            return
        if prefix_BP is None or list(prefix_BP.shape) != self._shape:
            given = "the model's own" if prefix_BP is None else f"one of shape {list(prefix_BP.shape)}"
            raise StrategyError(f"a session for a decoder prefix of shape {self._shape} was given {given}")
        if prefix_BP.device.type == "cpu" and not bool(((prefix_BP >= 0) & (prefix_BP < self._vocab_size)).all()):
            raise StrategyError(f"a decoder prefix holds ids outside 0 to {self._vocab_size - 1}; give others")
        self.token_XP = prefix_BP.repeat_interleave(self._beams, 0)
