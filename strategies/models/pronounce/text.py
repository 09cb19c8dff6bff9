"""Spelling and phonemes as token ids: one vocabulary serves both sides of the pronounce model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..mistake import Mistake

HERE = Path(__file__).parent
PAD, EOS, START, SPACE = "<pad>", "<eos>", "<start>", " "
LETTERS = "abcdefghijklmnopqrstuvwxyz'"


class TextError(Mistake):
    """The vocabulary cannot spell a text. The message is one line."""


@dataclass(frozen=True)
class Vocabulary:
    """Ids of letters and of ARPAbet phonemes (vowels carry their stress: AH0, AH1, AH2).

    A word's space belongs to both sides: ``tea time`` is spelled and pronounced as two words.
    """

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_id", {token: i for i, token in enumerate(self.tokens)})

    def __len__(self) -> int:
        return len(self.tokens)

    def id(self, token: str) -> int:
        """Id of one token. Raises KeyError if it is not in the vocabulary."""
        ids: dict[str, int] = self._id  # type: ignore[attr-defined]
        return ids[token]

    def spell(self, phrase: str) -> list[int]:
        """Ids of a phrase's letters, EOS last. Case is folded, and a run of white space counts as one space.

        Raises TextError for an empty phrase and for other characters than letters a to z, apostrophe and space.

        >>> load_vocabulary().spell("It's") == load_vocabulary().spell("  it's ")
        True
        """
        text = " ".join(phrase.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
        if not text:
            raise TextError("empty phrase: nothing to pronounce; give words of the letters a to z and apostrophes")
        if bad := sorted(set(text) - set(LETTERS) - {SPACE}):
            shown = ", ".join(repr(c) for c in bad)
            raise TextError(f"cannot spell {shown} in {phrase!r}; allowed: the letters a to z, apostrophe and space")
        return [*(self.id(letter) for letter in text), self.id(EOS)]

    def phonemes(self, words: Sequence[Sequence[str]]) -> list[int]:
        """Ids of pronounced words, separated by spaces, EOS last."""
        ids: list[int] = []
        for word in words:
            ids += [self.id(phoneme) for phoneme in word] + [self.id(SPACE)]
        return [*ids[:-1], self.id(EOS)]

    def pronunciation(self, ids: Sequence[int]) -> list[list[str]]:
        """Words of phonemes up to the first EOS. Padding and start are dropped; other tokens are kept as written."""
        words: list[list[str]] = [[]]
        for i in ids:
            token = self.tokens[i]
            if token == EOS:
                break
            if token == SPACE:
                words.append([])
            elif token not in (PAD, START):
                words[-1].append(token)
        return words


@cache
def load_vocabulary() -> Vocabulary:
    """The vocabulary that ships with the model."""
    return Vocabulary(tuple(json.loads((HERE / "vocabulary.json").read_text())))
