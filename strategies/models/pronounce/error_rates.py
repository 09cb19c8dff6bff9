"""Counts of errors in phonemes and words, and the two rates that follow from them.

Phoneme error rate, PER: the fewest phonemes and spaces to insert, delete or replace so that the output becomes a listed
reading of the whole phrase, over the phonemes and spaces of that reading. Of readings equally near, the shortest
counts. The space between words is a symbol like any other, so a lost or an added space is one error.

Word error rate, WER: the fewest words to insert, delete or replace, over the words of the phrase. An output word is
what stands between two spaces, so a lost space between two words costs both.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from .text import SPACE

_EDIT = 1 << 20
"""What an edit costs if a symbol of length costs 1; it is more than any reading is long."""

Readings = Sequence[Sequence[Hashable]]
"""The alternatives of one stretch of a reference, each a sequence of symbols."""


@dataclass(frozen=True)
class ErrorRates:
    """Counts behind the two rates; ``phonemes`` includes the spaces between words (see the module's docstring)."""

    phoneme_errors: int
    phonemes: int
    word_errors: int
    words: int

    @property
    def per(self) -> float:
        """Phoneme error rate, a fraction; insertions can make it exceed 1."""
        return self.phoneme_errors / self.phonemes

    @property
    def wer(self) -> float:
        """Word error rate, a fraction."""
        return self.word_errors / self.words

    def __add__(self, other: ErrorRates) -> ErrorRates:
        return ErrorRates(
            self.phoneme_errors + other.phoneme_errors,
            self.phonemes + other.phonemes,
            self.word_errors + other.word_errors,
            self.words + other.words,
        )


def fewest_edits(reference: Sequence[Readings], output: Sequence[Hashable]) -> tuple[int, int]:
    """Return (edits, length) of the reading that the output is nearest to; of those equally near, the shortest.

    A reading takes one alternative of each stretch of ``reference``. This is Levenshtein's distance to the nearest path
    through a lattice: a row of the table is kept for each alternative, and their minimum goes on to the next stretch.

    >>> fewest_edits([["to", "too"], [" "], ["day"]], "toda")
    (2, 6)
    """
    inserted = _EDIT * np.arange(len(output) + 1)
    differs: dict[Hashable, np.ndarray] = {}
    row = inserted
    for readings in reference:
        ends = []
        for reading in readings:
            end = row
            for symbol in reading:
                if symbol not in differs:
                    differs[symbol] = _EDIT * np.array([symbol != seen for seen in output], dtype=np.int64)
                read = end + 1 + _EDIT
                read[1:] = np.minimum(read[1:], end[:-1] + 1 + differs[symbol])
                end = np.minimum.accumulate(read - inserted) + inserted
            ends.append(end)
        row = np.minimum.reduce(ends)
    edits, length = divmod(int(row[-1]), _EDIT)
    return edits, length


def compare(listed: Sequence[Sequence[Sequence[str]]], output: Sequence[Sequence[str]]) -> ErrorRates:
    """Count the errors of one phrase: ``listed`` has the pronunciations of each word, ``output`` the words decoded.

    >>> compare([[["T", "UW1"]], [["T", "IY1"], ["T", "IY0"]]], [["T", "UW1"], ["T", "IY0", "Z"]])
    ErrorRates(phoneme_errors=1, phonemes=5, word_errors=1, words=2)
    """
    spaced: list[Readings] = [[[SPACE]]] * (2 * len(listed) - 1)
    spaced[::2] = listed
    symbols = [symbol for word in output for symbol in (SPACE, *word)][1:]
    phoneme_errors, phonemes = fewest_edits(spaced, symbols)
    word_errors, words = fewest_edits([[[tuple(said)] for said in word] for word in listed], [*map(tuple, output)])
    return ErrorRates(phoneme_errors, phonemes, word_errors, words)
