"""The only function that is timed: one round of one arm."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from strategies import Session
from strategies.search.greedy import GreedySearch
from strategies.search.loop import decode
from strategies.search.options import Stop
from strategies.search.searching import Searching

from ..settings.inputs import Inputs
from .clock import Clock


def one_round(
    session: Session, inputs: Inputs, stop: Stop, clock: Clock, searching: Searching | None = None
) -> list[Tensor]:
    """Decode one batch and take marks: at the start, after prefill, after the first token, after each later token.

    ``searching`` is a search over this batch that has just begun; by default greedy search. What it found it then
    holds. A clock that does not mark steps takes one mark at the end instead of those after later tokens. Returns the
    tokens fed next, one int64 [B * W] per step. Nothing happens here except decoding and marks.
    """
    if searching is None:
        device = session.model.embedding.weight.device
        searching = GreedySearch(session.model.config, session.batch, session.max_new, stop, device)
    tokens: list[Tensor] = []
    keep: Callable[[Tensor], None] = tokens.append
    clock.start()
    session.prefill(inputs.source, inputs.src_mask_BS)
    clock.mark()
    steps = decode(session, searching, stop)
    keep(next(steps))
    clock.mark()
    for token_B in steps:
        clock.step()
        keep(token_B)
    if not clock.every_step:
        clock.mark()
    return tokens


def token_ids(tokens: list[Tensor]) -> Tensor:
    """Stack the tokens of N steps into one tensor, int64 [B, N] on the CPU."""
    return torch.stack(tokens, 1).cpu()
