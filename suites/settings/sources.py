"""Reading of a user's file of source token ids, one sentence per line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .config import ConfigError
from .rules import shown

if TYPE_CHECKING:
    from strategies import ModelSpec


Ids = tuple[tuple[int, ...], ...]
REMEDY = "write whole numbers, a sentence a line"


@dataclass(frozen=True)
class Sources:
    """Source sentences of a file.

    ``rows`` holds each sentence's token ids without pad ids at its end; ``padded`` counts the sentences that had some.
    """

    rows: Ids
    padded: int


def read_lines(told: str, path: str, what: str, remedy: str) -> list[str]:
    """The lines of a file of ``what``. ``told`` names the key and the path in messages, which end with ``remedy``.

    Raises ConfigError if the file cannot be read or is empty.
    """
    try:
        file = Path(path).expanduser()
        if file.exists() and not file.is_file():
            raise ConfigError(f"{told} is no file; give a file of {what}: {remedy}")
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise ConfigError(f"{told} cannot be read ({error.strerror}); give a file of {what}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{told} cannot be read, as it is not UTF-8 text; {remedy}") from None
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise ConfigError(f"{told} is empty; {remedy}")
    return lines


def read_ids(path: str) -> Ids:
    """Read token ids from a file: one sentence per line, ids separated by spaces or commas.

    Raises ConfigError if the file cannot be read, is empty, or holds a blank line or a word that is no whole number.
    """
    told = f"src_ids={shown(path)}"
    rows = []
    for number, line in enumerate(read_lines(told, path, "token ids", REMEDY), 1):
        words = re.split(r"[\s,]+", line.strip(" \t\r,"))
        if words == [""]:
            raise ConfigError(f"{told}: line {number} is blank; remove it, as each line is a sentence")
        if wrong := next((word for word in words if not re.fullmatch(r"-?[0-9]{1,18}", word)), None):
            raise ConfigError(f"{told}: line {number} holds {shown(wrong)!r}, which is no token id; {REMEDY}")
        rows.append(tuple(map(int, words)))
    return tuple(rows)


def read_sources(path: str, pad_id: int) -> Sources:
    """Read the sentences of a file and remove the pad ids at their ends.

    Raises ConfigError as ``read_ids`` does, and for a sentence of pad ids alone.
    """
    rows, padded = [], 0
    for number, row in enumerate(read_ids(path), 1):
        length = max((place for place, found in enumerate(row, 1) if found != pad_id), default=0)
        if not length:
            raise ConfigError(
                f"src_ids={shown(path)}: line {number} holds the pad id {pad_id} alone; remove it, or write a sentence"
            )
        rows.append(row[:length])
        padded += length < len(row)
    return Sources(tuple(rows), padded)


def pad_id(spec: ModelSpec) -> int:
    """The pad id of a model; sizes of a random model that do not go together are not an error here.

    Raises ModelError for a checkpoint folder that cannot be read.
    """
    from strategies import ModelConfig, config_of

    if spec.source == "random":
        return int(dict(spec.shape).get("pad_id", ModelConfig.pad_id))
    return config_of(spec).pad_id


def positions_of_features(spec: ModelSpec) -> int | None:
    """S of a model whose sources are features, which all have this length; None for a model that reads token ids.

    Sizes of a random model that do not go together are not an error here. Raises ModelError for a checkpoint folder
    that cannot be read.
    """
    from strategies import config_of

    if spec.source == "random":
        shape = dict(spec.shape)
        return shape.get("src_positions") if shape.get("mel_bins") is not None else None
    config = config_of(spec)
    return config.src_positions if config.mel_bins is not None else None


def too_long(rows: Ids, positions: int | None) -> str:
    """Report in one line the first sentence of more tokens than a model has positions (None: any number), or ""."""
    for number, row in enumerate(rows, 1):
        if positions is not None and len(row) > positions:
            return (
                f"src_ids: line {number} holds {len(row)} tokens, beyond the model's {positions} positions; shorten "
                "it, or split it"
            )
    return ""


def outside(rows: Ids, vocab_size: int) -> str:
    """Report in one line the first id outside a vocabulary of ``vocab_size``; return "" where all ids are inside."""
    for number, row in enumerate(rows, 1):
        for found in row:
            if not 0 <= found < vocab_size:
                return (
                    f"src_ids: line {number} holds {found}, outside the model's vocabulary of {vocab_size}; "
                    f"give ids from 0 to {vocab_size - 1}"
                )
    return ""
