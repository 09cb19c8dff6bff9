"""Sources that a cell decodes: real phrases for the embedded model, seeded random ids or features for any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strategies import DTYPES, ModelConfig, load_vocabulary
from strategies.models.front_end import FRAMES
from strategies.models.pronounce.data import held_out
from strategies.models.sources import source_shape

from .cells import Cell
from .config import ConfigError
from .features import Features, features_of, why_other_source
from .sources import outside

Source = Sequence[Sequence[int]] | Features
"""What is decoded as data: token ids of each sentence without padding, or features [B, mel, 2 S]."""

LOW_IDS = 16
"""Special ids among the first so many, or the first 1 % of a vocabulary, are its start; random ids lie above them."""


@dataclass(frozen=True)
class Inputs:
    """What a cell decodes, on its device.

    ``source`` holds token ids, int64 [B, S], or features, [B, mel, 2 S] in the type of the
    cell. ``src_mask_BS`` is bool, None where no row is padded, which features never are. ``src_lens`` are the real
    lengths of the sentences, in positions.
    """

    source: Tensor
    src_mask_BS: Tensor | None
    src_lens: tuple[int, ...]

    @property
    def batch(self) -> int:
        """B, the number of sentences."""
        return self.source.shape[0]

    @property
    def src_len(self) -> int:
        """S, the positions of each source, padding included."""
        return self.source.shape[-1] // (1 if self.source.dim() == 2 else FRAMES)

    @property
    def real_fraction(self) -> float:
        """Share of source positions that are no padding."""
        return sum(self.src_lens) / (self.batch * self.src_len)

    def data(self) -> Source:
        """The source as data for another process: token ids of each sentence without padding, or features."""
        if self.source.dim() == 3:
            return self.source.float().cpu().numpy()
        return [row[:length] for row, length in zip(self.source.tolist(), self.src_lens, strict=True)]


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
    rng = _seeded(cell)
    if cell.src_ids is not None:
        if line := outside(cell.src_ids, config.source_vocabulary):
            raise ConfigError(line)
        return cell.src_ids
    if cell.model.source == "pronounce":
        words, vocabulary = list(held_out()), load_vocabulary()
        return [vocabulary.spell(phrase(cell.src_len - 1, words, rng)) for _ in range(cell.batch_size)]
    special = {config.pad_id, config.start_id, *config.eos_ids}
    shape, size = (cell.batch_size, cell.src_len), config.source_vocabulary
    first = max(special) + 1
    if first < size and first <= max(LOW_IDS, size // 100):
        return list(rng.integers(first, size, shape))
    others = np.setdiff1d(np.arange(size), list(special))  # Marian's pad id is its last, mBART starts with a language
    return list(rng.choice(others if others.size else size, shape))


def _features(cell: Cell, config: ModelConfig) -> Features:
    """Features of the cell's file, or seeded normal ones. Raises ConfigError if the file was changed."""
    if cell.src_features is not None:
        return features_of(cell.src_features)
    shape = source_shape(config, cell.batch_size, cell.src_len)
    return _seeded(cell).standard_normal(shape, dtype=np.float32)


def _seeded(cell: Cell) -> np.random.Generator:
    return np.random.default_rng([cell.seed, cell.src_len, cell.batch_size])


def make_inputs(cell: Cell, config: ModelConfig) -> Inputs:
    """Make the sources of a cell on its device; equal seed, source length and batch size give equal sources.

    Raises ConfigError for source ids outside the model's vocabulary, and for files that the model cannot read.
    """
    if line := why_other_source(config, cell.src_ids, cell.src_features):
        raise ConfigError(line)
    if config.mel_bins is not None:
        features = torch.from_numpy(_features(cell, config)).to(cell.device, DTYPES[cell.dtype])
        return Inputs(features, None, (cell.src_len,) * cell.batch_size)
    rows = _rows(cell, config)
    lengths = tuple(map(len, rows))
    src_BS = torch.full((cell.batch_size, cell.src_len), config.pad_id)
    for row, ids in zip(src_BS, rows, strict=True):
        row[: len(ids)] = torch.as_tensor(ids)
    mask_BS = torch.arange(cell.src_len) < torch.tensor(lengths)[:, None]
    full = min(lengths) == cell.src_len
    return Inputs(src_BS.to(cell.device), None if full else mask_BS.to(cell.device), lengths)
