"""What a cell decodes: real phrases for the embedded model, seeded ids for a model without a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from strategies import ModelConfig, load_vocabulary
from strategies.models.pronounce.data import held_out

from .cells import Cell


@dataclass(frozen=True)
class Inputs:
    """Sources int64 [B, S], their bool mask (None where all are full), and each one's real length."""

    src_BS: Tensor
    src_mask_BS: Tensor | None
    src_lens: tuple[int, ...]

    @property
    def real_fraction(self) -> float:
        """Share of source positions that hold a token."""
        return sum(self.src_lens) / self.src_BS.numel()


def phrase(length: int, words: list[str], rng: np.random.Generator) -> str:
    """Random words that fill at most ``length`` letters and spaces; the first that fits starts it."""
    chosen: list[str] = []
    room = length
    for i in rng.permutation(len(words)):
        if len(words[i]) + bool(chosen) <= room:
            room -= len(words[i]) + bool(chosen)
            chosen.append(words[i])
        elif chosen and room < 4:
            break
    return " ".join(chosen)


def make_inputs(cell: Cell, config: ModelConfig) -> Inputs:
    """Sources of a cell, on its device; the same for the same seed, lengths and batch. Raises ConfigError."""
    rng = np.random.default_rng([cell.seed, cell.src_len, cell.batch_size])
    shape = cell.batch_size, cell.src_len
    if cell.model.source != "pronounce":
        reserved = max(config.pad_id, config.eos_id, config.start_id) + 1
        if reserved >= config.vocab_size:
            reserved = 0
        ids = rng.integers(reserved, config.vocab_size, shape)
        return Inputs(torch.from_numpy(ids).to(cell.device), None, (cell.src_len,) * cell.batch_size)
    words, vocabulary = list(held_out()), load_vocabulary()
    rows = [vocabulary.spell(phrase(cell.src_len - 1, words, rng)) for _ in range(cell.batch_size)]
    src_BS = torch.full(shape, config.pad_id)
    for row, spelled in zip(src_BS, rows, strict=True):
        row[: len(spelled)] = torch.tensor(spelled)
    mask_BS = src_BS != config.pad_id
    full = bool(mask_BS.all())
    return Inputs(src_BS.to(cell.device), None if full else mask_BS.to(cell.device), tuple(map(len, rows)))
