"""Error rates of the pronounce model on held-out words: ``python -m strategies.models.pronounce.evaluate``.

Every held-out word is read once, in an order shuffled by a seed, alone or in phrases, by greedy decoding. Any listed
pronunciation counts as right; stress counts.

Phoneme error rate, PER: the fewest phonemes and spaces to insert, delete or replace so that the output becomes a listed
reading of the whole phrase, over the phonemes and spaces of that reading. Of readings equally near, the shortest
counts. The space between words is a symbol like any other, so a lost or an added space is one error.

Word error rate, WER: the fewest words to insert, delete or replace, over the words of the phrase. An output word is
what stands between two spaces, so a lost space between two words costs both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ...parsing import parse
from ...search.greedy import greedy
from ...session import Session
from ..config import ModelError
from ..encoder_decoder import EncoderDecoder
from . import load_pronounce
from .data import held_out, pad
from .text import SPACE, load_vocabulary
from .training_state import load_trained

WORDS_PER_PHRASE = (1, 4, 16, 30)
BATCH_TOKENS = 8192
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


def target_limit(src_len: int) -> int:
    """The most target tokens for a source of S = ``src_len`` tokens: more than any word of the dictionary needs."""
    return 2 * src_len + 8


def pronounce(model: EncoderDecoder, phrases: Sequence[str]) -> list[list[list[str]]]:
    """Decode phrases into words of phonemes, in the order of the phrases.

    Phrases of similar length are decoded together, padded. Each output ends at its own EOS, or at its own
    ``target_limit``, whatever batch it was in. Raises TextError for a phrase that cannot be spelled.
    """
    vocabulary, pad_id = load_vocabulary(), model.config.pad_id
    rows = [vocabulary.spell(phrase) for phrase in phrases]
    said: list[list[list[str]]] = [[]] * len(rows)
    waiting = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    while waiting:
        src_len = len(rows[waiting[-1]])
        count = max(1, BATCH_TOKENS // src_len)
        waiting, batch = waiting[:-count], waiting[-count:]
        src_BS = pad([rows[i] for i in batch], pad_id).to(model.embedding.weight.device)
        session = Session(model, parse("static_kv"), len(batch), src_len, target_limit(src_len))
        session.prefill(src_BS, src_BS != pad_id)
        token_BN = torch.stack(list(greedy(session)), dim=1)
        for i, ids in zip(batch, token_BN.tolist(), strict=True):
            said[i] = vocabulary.pronunciation(ids[: target_limit(len(rows[i]))])
    return said


def error_rates(model: EncoderDecoder, words_per_phrase: int, limit: int | None = None, seed: int = 0) -> ErrorRates:
    """PER and WER on the held-out words, or on ``limit`` of them, in phrases of ``words_per_phrase``.

    The words are shuffled by ``seed``. Words left over at the end, too few for a phrase, are not read. Raises
    ModelError if that leaves no phrase.
    """
    lexicon = held_out()
    count = len(lexicon) if limit is None else max(0, limit)
    words = [str(word) for word in np.random.default_rng(seed).permutation(list(lexicon))[:count]]
    if not 1 <= words_per_phrase <= len(words):
        raise ModelError(
            f"cannot make a phrase of {words_per_phrase} words out of {len(words)} held-out words; "
            f"give 1 to {len(lexicon)} words per phrase, and a limit of no fewer"
        )
    starts = range(0, len(words) - words_per_phrase + 1, words_per_phrase)
    phrases = [words[start : start + words_per_phrase] for start in starts]
    outputs = pronounce(model, [SPACE.join(phrase) for phrase in phrases])
    pairs = zip(phrases, outputs, strict=True)
    return sum((compare([lexicon[word] for word in phrase], said) for phrase, said in pairs), ErrorRates(0, 0, 0, 0))


def table_rows(rates: Mapping[int, ErrorRates]) -> list[tuple[str, ...]]:
    """Rows of text for a table, header first: the rates for each number of words per phrase, and their counts."""
    header = "words per phrase", "words", "phonemes and spaces", "phoneme error", "word error"
    return [
        header,
        *((f"{n}", f"{r.words:,}", f"{r.phonemes:,}", f"{r.per:.1%}", f"{r.wer:.1%}") for n, r in rates.items()),
    ]


def main() -> int:
    """Print a table of error rates; return 0, or 1 after one line on standard error."""
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="PT_FILE", help="of a training run (default: shipped weights)"
    )
    parser.add_argument("--limit", type=int, help="held-out words to read (default: all)")
    parser.add_argument("--words", type=int, nargs="+", default=WORDS_PER_PHRASE, help="words per phrase (1 4 16 30)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads (default: all cores)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        model = load_trained(args.checkpoint)[0] if args.checkpoint else load_pronounce().eval()
        rates = {}
        for words in args.words:
            print(f"words per phrase: {words}", file=sys.stderr)
            rates[words] = error_rates(model, words, args.limit)
    except ModelError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    header, *rows = table_rows(rates)
    table = Table(*header, title="Held-out words")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
