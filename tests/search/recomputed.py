"""What a search asks of a session, by teacher forcing."""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.models.encoder_decoder import EncoderDecoder


class Recomputed:
    """Gives the logits of B * W rows from all tokens of each row so far: it keeps no state but those."""

    def __init__(self, model: EncoderDecoder, src_BS: Tensor, mask_BS: Tensor, beams: int, max_new: int) -> None:
        self.model, self.max_new, self.batch, self.rows = model, max_new, len(src_BS), len(src_BS) * beams
        self._src_XS, self._mask_XS = src_BS.repeat_interleave(beams, 0), mask_BS.repeat_interleave(beams, 0)
        self._token_XN = torch.empty(self.rows, 0, dtype=torch.int64)

    @torch.no_grad()
    def step(self, token_X: Tensor) -> Tensor:
        self._token_XN = torch.cat([self._token_XN, token_X[:, None]], 1)
        return self.model(self._src_XS, self._mask_XS, self._token_XN)[:, -1]

    def select(self, parent_BW: Tensor) -> None:
        first_B1 = torch.arange(self.batch)[:, None] * parent_BW.shape[1]
        self._token_XN = self._token_XN[(first_B1 + parent_BW).flatten()]
