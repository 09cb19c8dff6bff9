"""Sequences of beam search, read off the parents and tokens of its steps."""

from __future__ import annotations

import torch
from torch import Tensor


def follow(
    parent_NBW: Tensor, token_NBW: Tensor, parent_BR: Tensor, token_BR: Tensor, length_BR: Tensor, pad_id: int
) -> Tensor:
    """The tokens of R sequences of each sentence, int64 [B, R, N], padded after their ends.

    At each of N steps, beam w took the token in ``token_NBW`` and continued the beam in ``parent_NBW`` of the step
    before. The last token of a sequence of ``length_BR`` tokens is ``token_BR``, chosen after the beam ``parent_BR``.

    Parents are maps from the beams of one step to those of the step before. Neighbouring maps are joined in pairs, then
    the results again, so N steps take log2(N) rounds of a few operators rather than N.

    >>> parent_NBW = torch.tensor([[[0, 0]], [[1, 0]], [[0, 0]]])
    >>> token_NBW = torch.tensor([[[10, 11]], [[20, 21]], [[30, 31]]])
    >>> one = torch.tensor([[1]])
    >>> follow(parent_NBW, token_NBW, one, 31 * one, 3 * one, 0).tolist()
    [[[10, 21, 31]]]
    """
    steps, batch, width = parent_NBW.shape
    # Each sequence is a further beam, W + r of Y = W + R: from the step of its last token on it continues itself.
    own_R = torch.arange(width, width + parent_BR.shape[1], device=parent_NBW.device)
    after_NBR = torch.arange(1, steps + 1, device=parent_NBW.device)[:, None, None] - length_BR
    parent_NBR = torch.where(after_NBR == 0, parent_BR, own_R)
    token_NBR = torch.where(after_NBR > 0, pad_id, token_BR.expand_as(parent_NBR))
    beams_NBY = torch.cat([token_NBW, token_NBR], 2)
    source_MBY = torch.cat([parent_NBW, parent_NBR], 2)[1:]  # M = N - 1 maps between neighbouring steps
    joined = 1
    while joined < len(source_MBY):
        further_MBY = source_MBY[:-joined].gather(2, source_MBY[joined:])
        source_MBY = torch.cat([further_MBY, source_MBY[-joined:]])
        joined *= 2
    beam_NBR = torch.cat([source_MBY[:, :, width:], own_R.expand(1, batch, -1)])
    return beams_NBY.gather(2, beam_NBR).permute(1, 2, 0)
