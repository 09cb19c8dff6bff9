"""What every tokenizer of a checkpoint can do, and the packages that tokenizers are read with."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from ...config import ModelError


class Tokenizer(Protocol):
    """Turns texts into source ids and decoded ids into texts, as ``AutoTokenizer`` of transformers does by default."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a source, with the special tokens of its family: EOS, and the code of its language."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""

    @property
    def target_language_id(self) -> int | None:
        """Id of the language that the folder's ``tgt_lang`` names, which a translation begins with; None without."""

    @property
    def language_ids(self) -> Collection[int]:
        """Ids of all languages that a target may begin with; empty where the family has none."""

    def word(self, token_id: int) -> str:
        """A single token as the vocabulary spells it, special or not."""


def package(name: str) -> Any:
    """Import a package of the extra ``text``. Raises ModelError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(
            f"texts need the Python package {error.name or name}; pip install 'decodebench[text]', or give token ids "
            "by src_ids=FILE"
        ) from None


def tidied(text: str) -> str:
    """Close the spaces before English punctuation, as a folder with ``clean_up_tokenization_spaces`` asks for.

    >>> tidied("it 's here , is n't it ?")
    "it's here, isn't it?"
    """
    for mark in (" .", " ?", " !", " ,"):
        text = text.replace(mark, mark[1:])
    text = text.replace(" ' ", "'")
    for ending in (" n't", " 'm", " 's", " 've", " 're"):
        text = text.replace(ending, ending[1:])
    return text
