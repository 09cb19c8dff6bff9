"""Cuts of a distribution to its most likely ids, made on logits: top-k, then top-p.

Where equal logits stand at a cut, top-k keeps them all, and top-p keeps the lowest ids.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .options import Sample


def cut(logits_XV: Tensor, sample: Sample) -> Tensor:
    """Logits [X, V] over the temperature, in float32, and -inf at every id that ``sample`` leaves out."""
    logits_XV = logits_XV.float() / sample.temperature
    if 0 < sample.top_k < logits_XV.shape[1]:
        logits_XV = cut_top_k(logits_XV, sample.top_k)
    return logits_XV if sample.top_p == 1 else cut_top_p(logits_XV, sample.top_p)


def cut_top_k(logits_XV: Tensor, top_k: int) -> Tensor:
    """Keep the ``top_k`` greatest logits of each row, and those that equal the last of them."""
    least_X1 = logits_XV.topk(top_k).values[:, -1:]
    return logits_XV.masked_fill(logits_XV < least_X1, -torch.inf)


def cut_top_p(logits_XV: Tensor, top_p: float) -> Tensor:
    """Keep the fewest most likely ids of each row whose probabilities come to ``top_p``."""
    descending = logits_XV.sort(dim=-1, descending=True, stable=True)
    probability_XV = descending.values.softmax(-1).double()
    is_left_out_XV = probability_XV.cumsum(-1) - probability_XV >= top_p
    return logits_XV.masked_fill(is_left_out_XV.scatter(1, descending.indices, is_left_out_XV), -torch.inf)
