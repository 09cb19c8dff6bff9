"""Pieces, scores and normalization of a sentencepiece model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import ModelError
from .tokenizer import package

SPACE = "\u2581"
"""Stands for a space in the pieces of sentencepiece."""
USER_DEFINED = 4
"""The type of a piece that is always a token of its own, in sentencepiece's format."""


@dataclass(frozen=True)
class PieceFile:
    """Pieces with their scores in the order of their ids, the rules of normalization (b"" for none), and ``whole``.

    ``whole`` are pieces that a text is split at.
    """

    pieces: tuple[tuple[str, float], ...]
    charsmap: bytes
    whole: tuple[str, ...]


def read_pieces(path: Path) -> PieceFile:
    """Read a sentencepiece model file. Raises ModelError if it is none, or a package is missing."""
    package("sentencepiece")
    messages = package("sentencepiece.sentencepiece_model_pb2")
    model = messages.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; give a folder that can be read") from None
    except Exception:  # protobuf's own error, whose module differs between versions
        raise no_model(path) from None
    if not model.pieces:
        raise no_model(path)
    pieces = tuple((piece.piece, piece.score) for piece in model.pieces)
    whole = tuple(piece.piece for piece in model.pieces if piece.type == USER_DEFINED)
    return PieceFile(pieces, model.normalizer_spec.precompiled_charsmap, whole)


def processor(path: Path) -> Any:
    """Load a model file for sentencepiece's own encoding. Raises ModelError as ``read_pieces`` does."""
    made = package("sentencepiece").SentencePieceProcessor()
    try:
        made.Load(str(path))
    except (OSError, RuntimeError):
        raise no_model(path) from None
    return made


def no_model(path: Path) -> ModelError:
    """The error for a file that is no model of sentencepiece."""
    return ModelError(f"{path} is no sentencepiece model; save the tokenizer again, or give token ids by src_ids=FILE")
