"""How well the embedded model pronounces held-out words by the search of a cell, measured outside the rounds."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch

from strategies import Strategy
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.pronounce.data import held_out

from ..settings.cells import Cell
from ..settings.faults import contained
from ..words.search_told import is_beam
from .narrowing import WORDS
from .spoiled import answering

_known: WeakKeyDictionary[EncoderDecoder, dict[tuple[object, ...], dict[str, Any]]] = WeakKeyDictionary()
"""What was measured with a model, which holds type, weights and kernel, for further cells that share it: neither batch
nor threads change the phrases."""


def is_spoken(cell: Cell) -> bool:
    """Whether the phoneme errors of a cell are counted in any run: those of the embedded model, by beam search.

    Where a run has such a cell, those of its cells of other searches are counted, too, to be compared with them.
    """
    return can_be_spoken(cell) and is_beam(cell.search.kind)


def can_be_spoken(cell: Cell) -> bool:
    """Whether phoneme errors can be counted: those of the embedded model."""
    return cell.model.source == "pronounce"


def phrase_words(cell: Cell) -> int:
    """Number of held-out words in a phrase about as long as the shorter of source and target, from 1 to ``WORDS``.

    An approximate strategy may lose nothing in a single word that it loses in a text as long as the cell's. A longer
    phrase would lose what no text of the cell can.
    """
    words = held_out()
    length = sum(map(len, words)) / len(words) + 1  # and the space after it
    return max(1, min(round(min(cell.src_len, cell.tgt_len) / length), WORDS))


@torch.no_grad()
def phoneme_error(
    cell: Cell, model: EncoderDecoder, strategy: Strategy | None = None, words: int = 1
) -> dict[str, Any]:
    """The entries of cell.json on the phoneme error by the cell's search, or the reason why it is not known.

    ``model`` is that of the cell, with its kernels and its type of weights. ``WORDS`` held-out words, the same in every
    cell, are decoded in phrases of so many ``words``, each until its end, by eager steps of ``strategy`` (default
    static_kv). The best sequence of each phrase is judged. With the same ``model``, what was found is given again to
    cells that differ in nothing that the phrases depend on.
    """
    from strategies.models.pronounce.evaluate import error_rates

    found: dict[str, Any] = {}
    with contained(lambda fault: found.update(phoneme_error_reason=fault.located)), answering(""):
        eager = strategy and (strategy.executed("eager") or strategy)
        decoded_by = (type(eager), eager.label) if eager else ()
        known, key = _known.setdefault(model, {}), (*decoded_by, cell.search, words, WORDS, cell.attention, cell.tf32)
        if key in known:
            return known[key]
        rates = error_rates(model, words, WORDS, search=cell.search, strategy=eager)
        found = {"phoneme_error": rates.per, "phoneme_error_words": rates.words}
        if words > 1:
            found["phoneme_error_phrase"] = words
        known[key] = found
    return found
