"""Error rates of the pronounce model on held-out words: ``python -m strategies.models.pronounce.evaluate``.

Every held-out word is read once, in an order shuffled by a seed, alone or in phrases. It is decoded by greedy search,
or by beam search with each of the numbers of beams that are given. Any listed pronunciation counts as right; stress
counts.

Phoneme error rate, PER: the fewest phonemes and spaces to insert, delete or replace so that the output becomes a listed
reading of the whole phrase, over the phonemes and spaces of that reading. Of readings equally near, the shortest
counts. The space between words is a symbol like any other, so a lost or an added space is one error.

Word error rate, WER: the fewest words to insert, delete or replace, over the words of the phrase. An output word is
what stands between two spaces, so a lost space between two words costs both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ...parsing import parse
from ...search.begin import begin
from ...search.loop import decode
from ...search.options import Beam, Greedy, Search, SearchError
from ...session import Session
from ...strategy import Strategy
from ..config import ModelError
from ..encoder_decoder import EncoderDecoder
from . import load_pronounce
from .data import held_out, pad
from .error_rates import ErrorRates, compare
from .text import SPACE, load_vocabulary
from .training_state import load_trained

WORDS_PER_PHRASE = (1, 4, 16, 30)
BATCH_TOKENS = 8192
"""Source tokens that are decoded together, counted once for each beam."""


def target_limit(src_len: int) -> int:
    """The most target tokens for a source of S = ``src_len`` tokens: more than any word of the dictionary needs."""
    return 2 * src_len + 8


def pronounce(
    model: EncoderDecoder, phrases: Sequence[str], search: Search | None = None, strategy: Strategy | None = None
) -> list[list[list[str]]]:
    """Decode phrases into words of phonemes, in the order of the phrases, by greedy search or by ``search``.

    Phrases of similar length are decoded together, padded. Each output ends at its own EOS, or at its own
    ``target_limit``, whatever batch it was in. Of several sequences of a phrase, the best is taken. ``strategy`` is
    static_kv by default; only an approximate one gives another output. Raises TextError for a phrase that cannot be
    spelled, StrategyError for phrases that are too long for the strategy.
    """
    search, strategy = search or Greedy(), strategy or parse("static_kv")
    vocabulary, pad_id = load_vocabulary(), model.config.pad_id
    rows = [vocabulary.spell(phrase) for phrase in phrases]
    said: list[list[list[str]]] = [[]] * len(rows)
    waiting = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    while waiting:
        src_len = len(rows[waiting[-1]])
        count = max(1, BATCH_TOKENS // (src_len * search.width))
        waiting, batch = waiting[:-count], waiting[-count:]
        src_BS = pad([rows[i] for i in batch], pad_id).to(model.embedding.weight.device)
        size, limit = len(batch), target_limit(src_len)
        session = Session(model, strategy, size, src_len, limit, search.width)
        session.prefill(src_BS, src_BS != pad_id)
        searching = begin(search, model.config, size, limit, "eos", src_BS.device)
        for _ in decode(session, searching):
            pass
        best_BN = searching.sequences().token_RN[:: search.returned]
        for i, ids in zip(batch, best_BN.tolist(), strict=True):
            said[i] = vocabulary.pronunciation(ids[: target_limit(len(rows[i]))])
    return said


def error_rates(
    model: EncoderDecoder,
    words_per_phrase: int,
    limit: int | None = None,
    seed: int = 0,
    search: Search | None = None,
    strategy: Strategy | None = None,
) -> ErrorRates:
    """PER and WER on the held-out words, or on ``limit`` of them, in phrases of ``words_per_phrase``.

    The words are shuffled by ``seed``, and decoded by greedy search or by ``search``, with ``strategy`` as in
    ``pronounce``. Words left over at the end, too few for a phrase, are not read. Raises ModelError if that leaves no
    phrase.
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
    outputs = pronounce(model, [SPACE.join(phrase) for phrase in phrases], search, strategy)
    pairs = zip(phrases, outputs, strict=True)
    return sum((compare([lexicon[word] for word in phrase], said) for phrase, said in pairs), ErrorRates(0, 0, 0, 0))


def table_rows(rates: Mapping[int, ErrorRates]) -> list[tuple[str, ...]]:
    """Rows of text for a table, header first: the rates for each number of words per phrase, and their counts."""
    header = "words per phrase", "words", "phonemes and spaces", "phoneme error", "word error"
    return [
        header,
        *((f"{n}", f"{r.words:,}", f"{r.phonemes:,}", f"{r.per:.1%}", f"{r.wer:.1%}") for n, r in rates.items()),
    ]


def beams_rows(rates: Mapping[tuple[int, int], ErrorRates]) -> list[tuple[str, ...]]:
    """Rows of text for a table, header first, by (words per phrase, beams).

    Rates have a digit more than those of ``table_rows``, as numbers of beams differ by less than lengths do.
    """
    header = "words per phrase", "beams", "words", "phoneme error", "word error"
    return [
        header,
        *((f"{n}", f"{w}", f"{r.words:,}", f"{r.per:.2%}", f"{r.wer:.2%}") for (n, w), r in rates.items()),
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
    parser.add_argument("--beams", type=int, nargs="+", default=(), help="beam search with so many (default: greedy)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads (default: all cores)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        model = load_trained(args.checkpoint)[0] if args.checkpoint else load_pronounce().eval()
        searches: list[Search] = [Beam(beams) for beams in args.beams] or [Greedy()]
        rates = {}
        for words in args.words:
            for search in searches:
                print(f"words per phrase: {words}{f', beams: {search.width}' if args.beams else ''}", file=sys.stderr)
                rates[words, search.width] = error_rates(model, words, args.limit, search=search)
    except (ModelError, SearchError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    plain = {words: one for (words, _), one in rates.items()}
    header, *rows = beams_rows(rates) if args.beams else table_rows(plain)
    table = Table(*header, title="Held-out words")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
