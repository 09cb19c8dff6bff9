"""The best continuations of a sentence: the greatest of W * V scores, found without sorting all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PIECE = 128
"""Q, neighbouring ids whose best is found first."""
DIRECT = 4096
"""The largest vocabulary of which no pieces are made."""


def count_of(width: int, eos_ids: Sequence[int]) -> int:
    """J, the continuations that a sentence of W = ``width`` beams needs, so that W of them do not end."""
    return max(2, 1 + len(eos_ids)) * width


def best_continuations(logprob_XV: Tensor, score_BW: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` best continuations of each sentence, the best first: their scores and indices, both [B, J].

    The score of a continuation is that of its beam plus the log-probability of its token. Its index is
    ``beam * V + token``. J is less than ``count`` where a sentence has fewer continuations.

    The vocabulary is cut into P pieces of Q ids. The best J continuations lie in the J pieces that have the greatest
    maxima. To take maxima is several times faster than to select the greatest of all.

    >>> score_BJ, index_BJ = best_continuations(torch.tensor([[-3.0, -1.0], [-2.0, -4.0]]), torch.zeros(1, 2), 2)
    >>> score_BJ.tolist(), index_BJ.tolist()
    ([[-1.0, -2.0]], [[1, 2]])
    """
    (batch, width), vocab = score_BW.shape, logprob_XV.shape[-1]
    count = min(count, width * vocab)
    if vocab <= DIRECT:
        best = (logprob_XV.view(batch, width, vocab) + score_BW[:, :, None]).flatten(1).topk(count)
        return best.values, best.indices
    whole = vocab // PIECE * PIECE
    best_XP = logprob_XV[:, :whole].view(batch * width, -1, PIECE).amax(-1)
    if whole < vocab:
        best_XP = torch.cat([best_XP, logprob_XV[:, whole:].amax(-1, keepdim=True)], 1)
    pieces = best_XP.shape[1]
    best_BWP = best_XP.view(batch, width, pieces) + score_BW[:, :, None]
    piece_BJ = best_BWP.flatten(1).topk(min(count, width * pieces), sorted=False).indices
    beam_BJ = piece_BJ // pieces
    token_BJ1 = (piece_BJ - beam_BJ * pieces)[..., None] * PIECE
    token_BJQ = token_BJ1 + torch.arange(PIECE, device=token_BJ1.device)
    index_BJQ = beam_BJ[..., None] * vocab + token_BJQ
    if whole < vocab:
        outside_BJQ = token_BJQ >= vocab
        index_BJQ.masked_fill_(outside_BJQ, 0)
    score_BJQ = logprob_XV.view(batch, -1).gather(1, index_BJQ.flatten(1)).view_as(index_BJQ)
    score_BJQ += score_BW.gather(1, beam_BJ)[..., None]
    if whole < vocab:
        score_BJQ.masked_fill_(outside_BJQ, -torch.inf)
    best = score_BJQ.flatten(1).topk(count)
    return best.values, index_BJQ.flatten(1).gather(1, best.indices)
