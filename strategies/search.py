"""Greedy search as a generator over a session: each ``next()`` is one decode step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from .session import Session

Stop = Literal["fixed", "eos"]


def greedy(session: Session, stop: Stop = "eos") -> Iterator[Tensor]:
    """Choose the most likely token at each step of a prefilled session; yields token ids, int64 [B].

    With ``eos``, a row that has ended yields padding, and the search stops when all rows have ended, or after
    ``max_new`` tokens. This waits for the device once per step. With ``fixed``, EOS is never chosen, so exactly
    ``max_new`` tokens come, without waiting for the device.
    """
    config = session.model.config
    device = session.model.embedding.weight.device
    token_B = torch.full((session.batch,), config.start_id, device=device)
    ended_B = torch.zeros(session.batch, dtype=torch.bool, device=device)
    for _ in range(session.max_new):
        logits_BV = session.step(token_B)
        if stop == "fixed":
            forbid(logits_BV, config.eos_ids, torch.finfo(logits_BV.dtype).min)
            token_B = logits_BV.argmax(-1)
            yield token_B
            continue
        token_B = logits_BV.argmax(-1).masked_fill_(ended_B, config.pad_id)
        ended_B |= is_end(token_B, config.eos_ids)
        yield token_B
        if ended_B.all():
            return


def is_end(token_X: Tensor, eos_ids: Sequence[int]) -> Tensor:
    """Which tokens end a sentence: bool, of the shape of ``token_X``."""
    ended_X = token_X == eos_ids[0]
    for other in eos_ids[1:]:
        ended_X |= token_X == other
    return ended_X


def forbid(logits_BV: Tensor, eos_ids: Sequence[int], lowest: float) -> None:
    """Set the logit of every EOS id to ``lowest``, in place, so that none is chosen."""
    for number in eos_ids:  # one slice per id: a list of ids as an index would be copied to the device at each step
        logits_BV[:, number] = lowest


def lengths(token_BN: Tensor, eos_id: int | Sequence[int]) -> Tensor:
    """Number of tokens of each row up to and including its first EOS, or N if it has none: int64 [B].

    ``eos_id`` is one id or several.
    """
    ended_BN = is_end(token_BN, [eos_id] if isinstance(eos_id, int) else eos_id)
    first_B = ended_BN.int().argmax(1) + 1
    return torch.where(ended_BN.any(1), first_B, token_BN.shape[1])
