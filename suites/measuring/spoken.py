"""How well the embedded model pronounces held-out words by the search of a cell, measured outside the rounds."""

from __future__ import annotations

from typing import Any

import torch

from strategies.models.encoder_decoder import EncoderDecoder

from ..settings.cells import Cell
from ..settings.faults import contained
from ..words.search_told import is_beam
from .narrowing import WORDS
from .spoiled import answering


def is_spoken(cell: Cell) -> bool:
    """Whether the phoneme errors of a cell are counted in any run: those of the embedded model, by beam search.

    Where a run has such a cell, those of its cells of other searches are counted, too, to be compared with them.
    """
    return can_be_spoken(cell) and is_beam(cell.search.kind)


def can_be_spoken(cell: Cell) -> bool:
    """Whether phoneme errors can be counted: those of the embedded model."""
    return cell.model.source == "pronounce"


@torch.no_grad()
def phoneme_error(cell: Cell, model: EncoderDecoder) -> dict[str, Any]:
    """The entries of cell.json on the phoneme error by the cell's search, or the reason why it is not known.

    ``model`` is that of the cell, with its kernels and its type of weights. Each of ``WORDS`` held-out words is decoded
    alone until its end, by eager steps, and its best sequence is judged. The words are the same in every cell.
    """
    from strategies.models.pronounce.evaluate import error_rates

    found: dict[str, Any] = {}
    with contained(lambda fault: found.update(phoneme_error_reason=fault.located)), answering(""):
        found = {"phoneme_error": error_rates(model, 1, WORDS, search=cell.search).per, "phoneme_error_words": WORDS}
    return found
