"""Sources that a cell decodes: real phrases for the embedded model, seeded random ids for any other model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strategies import ModelConfig, load_vocabulary
from strategies.models.pronounce.data import held_out

from .cells import Cell
from .config import ConfigError
from .sources import outside


@dataclass(frozen=True)
class Inputs:
    """Source ids int64 [B, S], their mask bool [B, S] (None where no row is padded), and each row's real length."""

    src_BS: Tensor
    src_mask_BS: Tensor | None
    src_lens: tuple[int, ...]

    def rows(self) -> list[list[int]]:
        """Token ids of each sentence, without padding."""
        return [row[:length] for row, length in zip(self.src_BS.tolist(), self.src_lens, strict=True)]

    @property
    def real_fraction(self) -> float:
        """Share of source positions that hold a token."""
        return sum(self.src_lens) / self.src_BS.numel()


def phrase(length: int, words: list[str], rng: np.random.Generator) -> str:
    """Join random ``words`` by spaces into a phrase of at most ``length`` characters, or "" where no word fits."""
    chosen: list[str] = []
    room = length
    for i in rng.permutation(len(words)):
        if len(words[i]) + bool(chosen) <= room:
            room -= len(words[i]) + bool(chosen)
            chosen.append(words[i])
        elif chosen and room < 4:
            break
    return " ".join(chosen)


def _rows(cell: Cell, config: ModelConfig) -> Sequence[Sequence[int] | NDArray[np.int64]]:
    """Token ids of each sentence, without padding. Raises ConfigError for ids outside the model's vocabulary."""
    rng = np.random.default_rng([cell.seed, cell.src_len, cell.batch_size])
    if cell.src_ids is not None:
        if line := outside(cell.src_ids, config.vocab_size):
            raise ConfigError(line)
        return cell.src_ids
    if cell.model.source == "pronounce":
        words, vocabulary = list(held_out()), load_vocabulary()
        return [vocabulary.spell(phrase(cell.src_len - 1, words, rng)) for _ in range(cell.batch_size)]
    reserved = max(config.pad_id, config.start_id, *config.eos_ids) + 1
    lowest = reserved if reserved < config.vocab_size else 0
    return list(rng.integers(lowest, config.vocab_size, (cell.batch_size, cell.src_len)))


def make_inputs(cell: Cell, config: ModelConfig) -> Inputs:
    """Make the sources of a cell on its device; equal seed, source length and batch size give equal sources.

    Raises ConfigError if the cell's own source ids lie outside the model's vocabulary.
    """
    rows = _rows(cell, config)
    lengths = tuple(map(len, rows))
    src_BS = torch.full((cell.batch_size, cell.src_len), config.pad_id)
    for row, ids in zip(src_BS, rows, strict=True):
        row[: len(ids)] = torch.as_tensor(ids)
    mask_BS = torch.arange(cell.src_len) < torch.tensor(lengths)[:, None]
    full = min(lengths) == cell.src_len
    return Inputs(src_BS.to(cell.device), None if full else mask_BS.to(cell.device), lengths)
