"""Tokenizers of Marian and M2M100: sentencepiece cuts a text into pieces, and vocab.json numbers them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...config import ModelError
from .folder import REMEDY, TextFolder
from .languages import M2M100, WMT21
from .piece_file import SPACE, processor
from .tokenizer import tidied

CODE = re.compile(r">>.*?<<", re.DOTALL)
"""A Marian of several target languages is told one at the beginning of a source, as in ">>fra<< Good morning"."""


class _Numbered:
    """Numbers of pieces, and special tokens: a text is split at them, and a decoded text is without them."""

    def __init__(self, folder: TextFolder, usual: Mapping[str, str], languages: dict[str, int]) -> None:
        self.ids = numbers(folder, "vocab.json")
        added = folder.added()
        known = self.ids | languages | {token.text: number for number, token in added.items()}
        named = {name: folder.token(name, text) for name, text in usual.items()}
        special = {*named.values(), *folder.extra_special(), *(one.text for one in added.values() if one.special)}
        if missing := min(special - set(known), default=""):
            raise ModelError(f"{folder.path / 'vocab.json'} holds no token {missing}; {REMEDY}")
        self.eos_id, self.unknown_id = known[named["eos_token"]], known[named["unk_token"]]
        self.unknown = named["unk_token"]
        self.whole = {text: known[text] for text in (*special, *(one.text for one in added.values()))}
        self._skipped = special | set(languages)
        texts = "|".join(map(re.escape, sorted(self.whole, key=len, reverse=True)))
        self._pattern = re.compile(f"({texts})")

    def parts(self, text: str) -> list[str]:
        """A text, split at tokens that are whole."""
        return [part for part in self._pattern.split(text) if part]

    def spoken(self, pieces: Iterable[str]) -> list[str]:
        """Pieces that are part of a text."""
        return [piece for piece in pieces if piece not in self._skipped]

    def number(self, piece: str) -> int:
        """Id of a piece, or that of the unknown token."""
        return self.ids.get(piece, self.unknown_id)


def numbers(folder: TextFolder, name: str) -> dict[str, int]:
    """Read the ids of pieces from a JSON file. Raises ModelError."""
    found = folder.json(name)
    if not found or not all(isinstance(number, int) for number in found.values()):
        raise ModelError(f"{folder.path / name} does not map pieces to ids; {REMEDY}")
    return found


class MarianTokenizer:
    """Pieces of source.spm, numbered by vocab.json, and EOS."""

    target_language_id = None
    language_ids = ()

    def __init__(self, folder: TextFolder) -> None:
        """Read the files of a Marian. Raises ModelError if one is missing or is not what it should be."""
        usual = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
        self._numbered, self._tidies = _Numbered(folder, usual, {}), folder.tidies
        apart = folder.settings.get("separate_vocabs") is True
        targets = numbers(folder, "target_vocab.json") if apart else self._numbered.ids
        self._words = {number: piece for piece, number in targets.items()}
        self._source, target = processor(folder.file("source.spm")), processor(folder.file("target.spm"))
        # transformers joins the pieces of a shared vocabulary as source.spm does.
        self._joins = target if apart else self._source

    def encode(self, text: str) -> list[int]:
        """Token ids of a source and EOS."""
        ids: list[int] = []
        for part in self._numbered.parts(text):
            if part in self._numbered.whole:
                ids.append(self._numbered.whole[part])
                continue
            code = CODE.match(part)
            rest = part[code.end() :] if code else part
            pieces = [*([code[0]] if code else []), *self._source.encode(rest, out_type=str)]
            ids += map(self._numbered.number, pieces)
        return [*ids, self._numbered.eos_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        pieces = self._numbered.spoken(map(self.word, ids))
        text = str(self._joins.decode_pieces(pieces)).replace(SPACE, " ").strip()
        return tidied(text) if self._tidies else text

    def word(self, token_id: int) -> str:
        """A token as the vocabulary spells it."""
        return self._words.get(token_id, self._numbered.unknown)


class M2M100Tokenizer:
    """Pieces of sentencepiece.bpe.model, numbered by vocab.json, between the token of a language and EOS."""

    def __init__(self, folder: TextFolder) -> None:
        """Read the files of an M2M100. Raises ModelError if one is missing or is not what it should be."""
        codes = WMT21 if folder.settings.get("language_codes") == "wmt21" else M2M100
        first = len(numbers(folder, "vocab.json"))
        languages = {f"__{code}__": number for number, code in enumerate(codes, first)}
        usual = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>"}
        self._numbered, self._tidies = _Numbered(folder, usual, languages), folder.tidies
        self._words = {number: piece for piece, number in (self._numbered.ids | languages).items()}
        self._processor: Any = processor(folder.file("sentencepiece.bpe.model"))
        self._source = languages[f"__{folder.language('src_lang', codes, 'en')}__"]
        target = folder.language("tgt_lang", codes, None)
        self.target_language_id = None if target is None else languages[f"__{target}__"]
        self.language_ids = languages.values()

    def encode(self, text: str) -> list[int]:
        """The language of a source, its token ids, and EOS."""
        ids = [self._source]
        for part in self._numbered.parts(text):
            if part in self._numbered.whole:
                ids.append(self._numbered.whole[part])
            else:
                ids += map(self._numbered.number, self._processor.encode(part, out_type=str))
        return [*ids, self._numbered.eos_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens and languages; ids that no token has are the unknown one."""
        text, pieces = "", list[str]()
        for token_id in ids:
            if token_id in self._words:
                pieces += self._numbered.spoken([self._words[token_id]])
            else:
                text, pieces = text + str(self._processor.decode(pieces)) + self._numbered.unknown, []
        text = (text + str(self._processor.decode(pieces))).strip()
        return tidied(text) if self._tidies else text

    def word(self, token_id: int) -> str:
        """A token as the vocabulary spells it."""
        return self._words.get(token_id, self._numbered.unknown)
