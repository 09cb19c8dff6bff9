"""Where sentences end: tokens that end one, and lengths up to the first of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def is_end(token_X: Tensor, eos_ids: Sequence[int]) -> Tensor:
    """Which tokens end a sentence: bool, of the shape of ``token_X``."""
    ended_X = token_X == eos_ids[0]
    for other in eos_ids[1:]:
        ended_X |= token_X == other
    return ended_X


def lengths(token_BN: Tensor, eos_id: int | Sequence[int]) -> Tensor:
    """Number of tokens of each row up to and including its first EOS, or N if it has none: int64 [B].

    ``eos_id`` is one id or several.
    """
    ended_BN = is_end(token_BN, [eos_id] if isinstance(eos_id, int) else eos_id)
    first_B = ended_BN.int().argmax(1) + 1
    return torch.where(ended_BN.any(1), first_B, token_BN.shape[1])
