"""The tokenizer of ByT5 (Xue et al. 2021), which needs no file: a token is a byte of UTF-8, and its id the byte + 3."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .folder import TextFolder
from .tokenizer import tidied

OFFSET = 3
"""Ids before the bytes: pad, EOS and unknown."""
BYTES = 256
EXTRA_IDS = 125
EOS = 1


class ByteTokenizer:
    """ByT5's tokenizer, with its sentinels after the bytes. Spaces around pad, EOS and unknown belong to them."""

    target_language_id = None
    language_ids = ()

    def __init__(self, folder: TextFolder) -> None:
        """Read the names of the special tokens. Raises ModelError if the folder's settings cannot be read."""
        usual = ("pad_token", "<pad>"), ("eos_token", "</s>"), ("unk_token", "<unk>")
        named = [folder.token(name, text) for name, text in usual]
        given = {number: token.text for number, token in folder.added().items() if number >= OFFSET + BYTES}
        if not given:
            listed = folder.extra_special() or [f"<extra_id_{number}>" for number in range(EXTRA_IDS)]
            sentinels = [text for text in listed if text not in named]
            given = dict(enumerate(sentinels, OFFSET + BYTES))
        self._ids = {text: number for number, text in enumerate(named)} | {text: n for n, text in given.items()}
        self._words = {number: text for text, number in self._ids.items()}
        stripped = "|".join(rf"\s*{re.escape(text)}\s*" for text in named)
        others = "|".join(map(re.escape, sorted(given.values(), key=len, reverse=True)))
        self._special = re.compile(f"({stripped}{'|' if others else ''}{others})")
        self._tidies = folder.tidies

    def encode(self, text: str) -> list[int]:
        """Bytes of a text and EOS; a special token in the text is one token."""
        ids: list[int] = []
        for place, part in enumerate(self._special.split(text)):
            if place % 2:
                ids.append(self._ids[part if part in self._ids else part.strip()])
            else:
                ids += [byte + OFFSET for byte in part.encode("utf-8", "surrogatepass")]
        return ids if ids and ids[-1] == EOS else [*ids, EOS]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the bytes; what is no whole character is left out."""
        kept = bytes(number - OFFSET for number in ids if OFFSET <= number < OFFSET + BYTES)
        text = kept.decode("utf-8", errors="ignore")
        return tidied(text) if self._tidies else text

    def word(self, token_id: int) -> str:
        """A byte as a character of Latin-1, or the text of a special token."""
        is_byte = OFFSET <= token_id < OFFSET + BYTES
        return chr(token_id - OFFSET) if is_byte else self._words.get(token_id, "")
