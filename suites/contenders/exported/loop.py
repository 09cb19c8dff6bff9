"""The greedy loop around a converted step, whose runtime keeps K and V between its calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .barred import Barred

if TYPE_CHECKING:
    from strategies import ModelConfig

Token = NDArray[np.int64]
Run = Callable[[Token], NDArray[np.float32]]
"""One step: token_B1 -> logits_BV, in memory that may be overwritten."""


def padded(source: Sequence[Sequence[int]], src_len: int, pad_id: int) -> tuple[Token, NDArray[np.bool_]]:
    """Token ids int64 [B, S] and their mask, True at real tokens.

    >>> padded([[5, 6], [7]], 2, 0)
    (array([[5, 6],
           [7, 0]]), array([[ True,  True],
           [ True, False]]))
    """
    lengths_B = np.array([len(row) for row in source])
    mask_BS = np.arange(src_len) < lengths_B[:, None]
    ids_BS = np.full(mask_BS.shape, pad_id)
    ids_BS[mask_BS] = [number for row in source for number in row]
    return ids_BS, mask_BS


def decode(
    run: Run, config: ModelConfig, barred: Barred, batch: int, tgt_len: int, mark: Callable[[], None], ends: bool
) -> list[list[int]]:
    """Decode B=``batch`` sentences greedily, ``tgt_len`` tokens each at most, and call ``mark`` after each step.

    The decoder's prefix is fed token by token before the first of these steps. With ``ends``, a sentence that has ended
    stays in the batch and is fed padding, and decoding stops when all have.
    """
    *before, first = (np.full((batch, 1), number) for number in config.prefix)
    for token_B1 in before:
        run(token_B1)
    token_B1, eos_ids, ended_B1 = first, np.array(config.eos_ids), np.zeros((batch, 1), bool)
    chosen: list[Token] = []
    for length in range(1, tgt_len + 1):
        logits_BV = run(token_B1)
        logits_BV += barred(length)
        token_B1 = logits_BV.argmax(-1, keepdims=True)
        if ends:
            token_B1 = np.where(ended_B1, config.pad_id, token_B1)
            ended_B1 |= np.isin(token_B1, eos_ids)
        chosen.append(token_B1)
        mark()
        if ended_B1.all():
            break
    rows = np.concatenate(chosen, 1).tolist()
    return [to_end(row, config.eos_ids) for row in rows] if ends else rows


def to_end(row: list[int], eos_ids: Sequence[int]) -> list[int]:
    """Cut a row after its first EOS.

    >>> to_end([4, 1, 0], (1,))
    [4, 1]
    """
    end = next((place for place, number in enumerate(row) if number in eos_ids), len(row))
    return row[: end + 1]
