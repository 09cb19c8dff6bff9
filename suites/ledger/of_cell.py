"""Record the ledger of one cell: its model and sources, some steps, and a second source length."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import pandas as pd
import torch
from torch import Tensor

from strategies import DTYPES, Strategy, config_of, load_model
from strategies.models.encoder_decoder import EncoderDecoder

from ..settings.cells import Cell
from ..settings.config import NO_CUDA, ConfigError
from ..settings.inputs import Inputs, make_inputs
from ..words.progress import Progress
from . import foreign
from .table import make_ledger, steps_to_record
from .transformers_t5 import Lengths

FIRST_STEPS = 3
"""Steps that are recorded at half the source length too. Features have one length alone."""


def load(cell: Cell) -> EncoderDecoder:
    """Load the cell's model on its device. Raises ConfigError if the device is not there, or ModelError."""
    if cell.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"{NO_CUDA}; give device=cpu")
    torch.set_num_threads(cell.threads)
    return load_model(cell.model, DTYPES[cell.dtype], cell.device, cell.seed)


def record_cell(cell: Cell, strategies: Sequence[Strategy], k: int, token_BN: Tensor | None = None) -> pd.DataFrame:
    """Record training and every strategy: chosen steps, and the first ones at half the source length too.

    Step ``k`` and the last step are among the chosen ones. Steps are fed ``token_BN``, int64 [B, N], or
    seeded random tokens if it is None or there are beams. Raises LedgerError, StrategyError, ModelError or ConfigError.
    """
    model = load(cell)
    config, first = model.config, model.config.prefix_len
    recorded: list[tuple[Inputs, Collection[int]]] = [
        (make_inputs(cell, config), steps_to_record(config.target_rows(cell.tgt_len), k, first)),
    ]
    half = dataclasses.replace(cell, src_len=max(2, cell.src_len // 2))
    if cell.src_ids is None and config.mel_bins is None and half.src_len < cell.src_len:
        recorded.append((make_inputs(half, config), [first + i for i in range(min(FIRST_STEPS, cell.tgt_len))]))
    steps = len(strategies) * sum(max(some) - first + 1 for _, some in recorded)
    with Progress(steps, 1) as progress:
        progress.cell(cell.title)
        progress.say("checking formulas")

        def advance() -> None:
            progress.say("recording")
            progress.advance(1)

        return make_ledger(model, strategies, recorded, cell.tgt_len, cell.seed, advance, token_BN, cell.beams)


def record_transformers(cell: Cell, k: int) -> pd.DataFrame:
    """Record the cell on transformers' T5, with random weights in float32 on the CPU.

    Raises LedgerError or ConfigError.
    """
    torch.set_num_threads(cell.threads)
    at = Lengths(cell.batch_size, cell.src_len, cell.tgt_len, k, max(2, cell.tgt_len))
    with Progress(2 * max(2, k), 1) as progress:
        progress.cell(f"transformers {cell.title}")
        return foreign.record_transformers(config_of(cell.model), at, lambda: progress.advance(1))
