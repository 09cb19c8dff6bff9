"""What the JSON files of a checkpoint folder say about its tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import ModelError
from ...message_text import shown
from ..regular_file import exists, read_object, size_of

REMEDY = "save the tokenizer again, or give token ids by src_ids=FILE"
BY_MODEL_TYPE = {
    "t5": "T5Tokenizer",
    "mt5": "T5Tokenizer",
    "umt5": "T5Tokenizer",
    "pegasus": "PegasusTokenizer",
    "mbart": "MBartTokenizer",
    "m2m_100": "M2M100Tokenizer",
    "marian": "MarianTokenizer",
    "bart": "BartTokenizer",
    "whisper": "WhisperTokenizer",
}
"""``model_type`` of config.json -> the class of its tokenizer in transformers, where the folder names none."""
ANY_FILE = "PreTrainedTokenizer"
"""Class of a tokenizer that is whatever its tokenizer.json says."""
SAME = {"RobertaTokenizer": "BartTokenizer", "TokenizersBackend": ANY_FILE, "MT5Tokenizer": "T5Tokenizer"}
"""Class -> another with the same rules."""


@dataclass(frozen=True)
class Added:
    """A token beside those of the model of pieces; a special one is not part of a decoded text."""

    text: str
    special: bool
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    single_word: bool = False


@dataclass(frozen=True)
class TextFolder:
    """A checkpoint folder as its tokenizer sees it.

    ``kind`` is the class of the tokenizer in transformers, without "Fast". ``settings`` are those of
    tokenizer_config.json, and special_tokens_map.json.
    """

    path: Path
    model_type: str
    kind: str
    settings: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> TextFolder:
        """Read the JSON files of a folder. Raises ModelError if one of them cannot be read, or names no tokenizer."""
        config = read_object(path / "config.json", "give a checkpoint folder")
        settings: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            if exists(path / name):
                settings |= read_object(path / name, REMEDY)
        model_type = str(config.get("model_type", ""))
        named = settings.get("tokenizer_class") or config.get("tokenizer_class") or BY_MODEL_TYPE.get(model_type)
        if named is None:
            raise ModelError(
                f"{path}: model_type {shown(model_type)} has no tokenizer here; known: {', '.join(BY_MODEL_TYPE)}, "
                "or name a tokenizer_class in tokenizer_config.json"
            )
        kind = str(named).removesuffix("Fast")
        return cls(path, model_type, SAME.get(kind, kind), settings)

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return exists(self.path / name)

    def file(self, name: str) -> Path:
        """The path of a file. Raises ModelError if it is not there."""
        size_of(self.path / name, f"{self.kind} reads it; {REMEDY}")
        return self.path / name

    def json(self, name: str) -> dict[str, Any]:
        """The JSON object in a file. Raises ModelError."""
        return read_object(self.file(name), REMEDY)

    def token(self, name: str, usual: str) -> str:
        """Text of a special token such as ``eos_token``; ``usual`` where the folder does not say."""
        found = self.settings.get(name)
        if isinstance(found, dict):
            found = found.get("content")
        return usual if found is None else str(found)

    def number(self, name: str, usual: int) -> int:
        """A setting that is a count. Raises ModelError if it is none."""
        found = self.settings.get(name, usual)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 20:
            raise ModelError(
                f"{self.path / 'tokenizer_config.json'}: {name}={shown(found)} is not allowed; a count is expected"
            )
        return found

    def language(self, name: str, known: tuple[str, ...], usual: str | None) -> str | None:
        """Code of the source or target language, of those ``known``. Raises ModelError for any other."""
        found = self.settings.get(name) or usual
        if found is not None and found not in known:
            raise ModelError(
                f"{self.path / 'tokenizer_config.json'}: {name}={shown(found)} is no language of {self.kind}; known: "
                f"{', '.join(known)}"
            )
        return found

    @property
    def tidies(self) -> bool:
        """Whether spaces before punctuation are closed in decoded texts."""
        return self.settings.get("clean_up_tokenization_spaces") is True

    def extra_special(self) -> list[str]:
        """Special tokens that have no name, such as T5's sentinels. Raises ModelError."""
        found = self.settings.get("extra_special_tokens") or self.settings.get("additional_special_tokens") or []
        if isinstance(found, dict):
            found = list(found.values())
        texts = [one.get("content") if isinstance(one, dict) else one for one in found]
        kept = [text for text in texts if isinstance(text, str)]
        if len(kept) < len(texts):
            raise ModelError(f"{self.path / 'tokenizer_config.json'}: its special tokens are not texts; {REMEDY}")
        return kept

    def added(self) -> dict[int, Added]:
        """Tokens that the folder gives an id of their own. Raises ModelError if they cannot be read."""
        try:
            return dict(self._added())
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ModelError(f"{self.path}: the added tokens of its tokenizer cannot be read; {REMEDY}") from None

    def _added(self) -> Iterator[tuple[int, Added]]:
        listed = self.settings.get("added_tokens_decoder")
        if listed is not None:
            flags = ("special", "lstrip", "rstrip", "normalized", "single_word")
            for number, token in listed.items():
                yield int(number), Added(str(token["content"]), **{flag: bool(token.get(flag)) for flag in flags})
        elif self.has("added_tokens.json"):
            named = {self.token(name, "") for name in self.settings if name.endswith("_token")}
            special = named | set(self.extra_special())
            for text, number in self.json("added_tokens.json").items():
                yield int(number), Added(str(text), text in special, normalized=text not in special)
