"""Begin a search: the one place that knows every search by its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .beam import BeamSearch
from .continuations import DIRECT
from .greedy import GreedySearch
from .options import Beam, Greedy, Search, Stop
from .sample import SampleSearch
from .searching import Searching

if TYPE_CHECKING:
    from ..models.config import ModelConfig


def bytes_per_logit(search: Search, vocabulary: int, width: int) -> int:
    """Bytes that a search over V = ``vocabulary`` ids holds at most beside each logit, of ``width`` bytes itself.

    Greedy search holds none. Beam search holds a log-probability, and a score where no pieces are made, or the logit in
    float32 where it is narrower, which on CUDA stays within the kernel. Sampling holds
    a probability and a sum of such in float64; to cut, it holds sorted ones and their ids too.
    """
    if isinstance(search, Greedy):
        return 0
    if isinstance(search, Beam):
        return 8 if vocabulary <= DIRECT or width < 4 else 4
    return 16 if search.top_p == 1 else 40


def begin(
    search: Search,
    config: ModelConfig,
    batch: int,
    max_new: int,
    stop: Stop,
    device: torch.device,
    seed: int = 0,
    tolerance: float | None = None,
) -> Searching:
    """A new search over B = ``batch`` sentences of at most ``max_new`` tokens.

    ``seed`` is that of sampling. ``tolerance``, a share of max(1, the largest logit), has ties counted: choices that
    such a difference could turn. Counting takes time, so no timed search is given one.
    """
    if isinstance(search, Greedy):
        return GreedySearch(config, batch, max_new, stop, device)
    if isinstance(search, Beam):
        return BeamSearch(search, config, batch, max_new, stop, device, tolerance)
    return SampleSearch(search, config, batch, max_new, stop, device, seed, tolerance)
