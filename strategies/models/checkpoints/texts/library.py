"""Tokenizers of the library ``tokenizers``: from tokenizer.json, or built by the family's rules from its own files."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...config import ModelError
from ...message_text import described
from .families import FAMILIES, Family
from .folder import REMEDY, Added, TextFolder
from .piece_file import SPACE, read_pieces
from .tokenizer import package, tidied

TIMESTAMP = re.compile(r"<\|\d+\.\d+\|>")


class LibraryTokenizer:
    """A tokenizer of the library ``tokenizers`` in the settings of its folder."""

    def __init__(self, folder: TextFolder, made: Any) -> None:
        self._folder, self._made = folder, made
        self._family = FAMILIES.get(folder.kind)
        self._languages = self._family.languages if self._family is not None else ()
        self._strips = folder.tidies and type(made.model).__name__ != "BPE"

    def encode(self, text: str) -> list[int]:
        """Token ids of a source. Raises ModelError where the model does not read texts."""
        if self._family is not None and self._family.around is None:
            raise ModelError(f"{self._folder.path} reads features of sound, not texts; leave the text out")
        return list(self._made.encode(text).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens, and without the timestamps of a Whisper."""
        ids = list(ids)
        if self._folder.kind == "WhisperTokenizer":
            ids = _after_prompt(ids, self._made)
        text = str(self._made.decode(ids, skip_special_tokens=True))
        text = TIMESTAMP.sub("", text) if self._folder.kind == "WhisperTokenizer" else text
        return tidied(text) if self._strips else text

    def word(self, token_id: int) -> str:
        """A token as the vocabulary spells it; of bytes, the letters that stand for them."""
        return str(self._made.id_to_token(token_id) or "")

    @property
    def target_language_id(self) -> int | None:
        """Id of the language that ``tgt_lang`` names. Raises ModelError for a language that is not known."""
        code = self._folder.language("tgt_lang", self._languages, None) if self._languages else None
        return None if code is None else _id_of(self._made, code, self._folder)

    @property
    def language_ids(self) -> list[int]:
        """Ids of all languages that a target may begin with."""
        found = map(self._made.token_to_id, self._languages)
        return [number for number in found if number is not None]


def _after_prompt(ids: list[int], made: Any) -> list[int]:
    """Leave out the text of an earlier segment, which a Whisper may be given before its own start."""
    if not ids or ids[0] != made.token_to_id("<|startofprev|>"):
        return ids
    start = made.token_to_id("<|startoftranscript|>")
    return ids[ids.index(start) :] if start in ids else []


def from_file(folder: TextFolder) -> LibraryTokenizer:
    """Read tokenizer.json, and give it the special tokens and the splitting of its family. Raises ModelError."""
    path = folder.file("tokenizer.json")
    library = package("tokenizers")
    with _told(f"{path} is no file of the library tokenizers"):
        made = library.Tokenizer.from_file(str(path))
    made.no_truncation()
    made.no_padding()
    _add(made, folder, folder.added())
    # As transformers does: UMT5 has no class of its own, so that its file stands as it is.
    if folder.kind in FAMILIES and folder.model_type != "umt5":
        normalizer = json.loads(made.normalizer.__getstate__()) if made.normalizer is not None else {}
        _fit(made, FAMILIES[folder.kind], folder, next(_charsmaps(normalizer), b""))
    return LibraryTokenizer(folder, made)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Raise ModelError for any error of the library, which has no type of its own; its panics are no Exceptions."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise ModelError(f"{what} ({described(error)}); {REMEDY}") from None


def _charsmaps(normalizer: dict[str, Any]) -> Iterator[bytes]:
    for one in normalizer.get("normalizers", [normalizer]):
        if one.get("precompiled_charsmap"):
            yield base64.b64decode(one["precompiled_charsmap"])


def from_own_files(folder: TextFolder) -> LibraryTokenizer:
    """Build a family's tokenizer from its own files. Raises ModelError if one is missing or cannot be read."""
    family = FAMILIES[folder.kind]
    library = package("tokenizers")
    known = {text: Added(text, True) for text in _special_texts(family, folder)}
    if "mask_token" in dict(family.named) and family.last(folder):  # mBART and NLLB: the space before a mask is its own
        mask = folder.token("mask_token", "<mask>")
        known[mask] = Added(mask, True, lstrip=True, normalized=True)
    charsmap = b""
    if family.kind == "bytes":
        model = _from_merges(library, folder)
    else:
        path = folder.file(family.file)
        file = read_pieces(path)
        charsmap = file.charsmap
        pieces = [*family.first(folder), *file.pieces[family.dropped :]]
        pieces += [(text, 0.0) for text in family.last(folder)]
        model = _pieces_model(library, family, pieces, folder)
        known |= {text: Added(text, False) for text in file.whole if text not in known}
    made = library.Tokenizer(model)
    given = folder.added()
    known |= {one.text: one for one in given.values()}
    _add(made, folder, given)
    for one in known.values():
        _add_one(made, one)
    _fit(made, family, folder, charsmap)
    return LibraryTokenizer(folder, made)


def _special_texts(family: Family, folder: TextFolder) -> list[str]:
    named = [folder.token(name, usual) for name, usual in family.named]
    return [*named, *family.reserved(folder), *family.last(folder), *folder.extra_special()]


def _pieces_model(library: Any, family: Family, pieces: list[tuple[str, float]], folder: TextFolder) -> Any:
    unknown = folder.token("unk_token", "<unk>")
    numbers = {text: number for number, (text, _) in enumerate(pieces)}
    if unknown not in numbers or len(numbers) < len(pieces):
        why = "holds a piece twice" if len(numbers) < len(pieces) else f"holds no piece {unknown}"
        raise ModelError(f"{folder.path / family.file} {why}, unlike a {folder.kind}; {REMEDY}")
    if family.kind == "unigram":
        return library.models.Unigram(pieces, unk_id=numbers[unknown], byte_fallback=False)
    # In a model of merges, pieces are in the order in which they were merged.
    merges = [
        (text[:place], text[place:])
        for text in numbers
        for place in range(1, len(text))
        if text[:place] in numbers and text[place:] in numbers
    ]
    return library.models.BPE(numbers, merges, unk_token=unknown, fuse_unk=True)


def _from_merges(library: Any, folder: TextFolder) -> Any:
    vocab, merges = folder.file("vocab.json"), folder.file("merges.txt")
    with _told(f"{vocab} and {merges.name} make no vocabulary of merges"):
        return library.models.BPE.from_file(str(vocab), str(merges))


def _fit(made: Any, family: Family, folder: TextFolder, charsmap: bytes) -> None:
    """Set how a family cuts a text before pieces are found, and which special tokens its sources have."""
    library = package("tokenizers")
    split, join, normal = library.pre_tokenizers, library.decoders, library.normalizers
    if family.kind == "bytes":
        made.pre_tokenizer = split.ByteLevel(add_prefix_space=folder.settings.get("add_prefix_space") is True)
        made.decoder = join.ByteLevel()
    else:
        spaces = split.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
        made.pre_tokenizer = split.Sequence([split.WhitespaceSplit(), spaces]) if family.splits_words else spaces
        made.decoder = join.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
        with _told(f"{folder.path / family.file} holds rules of normalization that cannot be read"):
            steps = [normal.Precompiled(charsmap)] if charsmap and family.normalizes else []
        if folder.kind == "PegasusTokenizer" and not charsmap:
            steps.append(normal.Replace("\n", " "))
        if family.single_spaces and (charsmap or folder.kind != "NllbTokenizer"):
            steps.append(normal.Replace(library.Regex(" {2,}"), " "))
        made.normalizer = normal.Sequence(steps) if steps else None
    if family.around is not None:
        before, after = family.around(folder)
        numbers = {text: _id_of(made, text, folder) for text in (*before, *after)}
        made.post_processor = library.processors.TemplateProcessing(
            single=[*before, "$A", *after], pair=[*before, "$A", "$B", *after], special_tokens=list(numbers.items())
        )


def _add(made: Any, folder: TextFolder, given: dict[int, Added]) -> None:
    """Add the folder's own tokens. Raises ModelError if one cannot have its id."""
    for number, token in sorted(given.items()):
        _add_one(made, token)
        if (found := made.token_to_id(token.text)) != number:
            raise ModelError(
                f"{folder.path}: the added token {token.text} is to be {number}, but the vocabulary makes it {found}; "
                f"{REMEDY}"
            )


def _add_one(made: Any, token: Added) -> None:
    added = package("tokenizers").AddedToken(
        token.text,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=token.special,
    )
    made.add_special_tokens([added]) if token.special else made.add_tokens([added])


def _id_of(made: Any, text: str, folder: TextFolder) -> int:
    found = made.token_to_id(text)
    if found is None:
        raise ModelError(f"{folder.path}: the vocabulary holds no token {text}, unlike a {folder.kind}; {REMEDY}")
    return int(found)
