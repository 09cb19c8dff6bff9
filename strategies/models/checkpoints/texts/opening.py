"""Open the tokenizer of a checkpoint folder, whatever its family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...config import ModelError
from ..folder import existing_folder
from .byte_tokenizer import ByteTokenizer
from .families import FAMILIES
from .folder import ANY_FILE, REMEDY, TextFolder
from .library import from_file, from_own_files
from .numbered_pieces import M2M100Tokenizer, MarianTokenizer
from .tokenizer import Tokenizer

OWN: dict[str, Callable[[TextFolder], Tokenizer]] = {
    "ByT5Tokenizer": ByteTokenizer,
    "MarianTokenizer": MarianTokenizer,
    "M2M100Tokenizer": M2M100Tokenizer,
}
"""Classes that read no tokenizer.json, in transformers too."""


def open_text(folder: str | Path) -> Tokenizer:
    """Open the tokenizer of a checkpoint folder: of its tokenizer.json, or by the rules of its family.

    The family is the class that tokenizer_config.json or config.json names, or else that of the ``model_type``. Raises
    ModelError in one line if the class is not known here, a file is missing or is not what it should be, or a package
    is not installed.
    """
    found = TextFolder.read(existing_folder(folder))
    if found.kind in OWN:
        return OWN[found.kind](found)
    if found.kind != ANY_FILE and found.kind not in FAMILIES:
        known = ", ".join(sorted((*FAMILIES, *OWN)))
        raise ModelError(f"{found.path}: the tokenizer {found.kind} is not supported; known: {known}; {REMEDY}")
    if found.has("tokenizer.json"):
        return from_file(found)
    if found.kind == ANY_FILE:
        raise ModelError(f"{found.path} holds no tokenizer.json, the one file of its tokenizer; {REMEDY}")
    return from_own_files(found)
