"""The ids that decoding starts with, ends at and pads with, read from where transformers reads them.

``generation_config.json`` decides where it exists, and ``config.json`` only where it does not: transformers does not
look up a missing id in the other file. Where transformers would refuse to generate because there is no start id, the
start id is that of ``config.json``, else the family's own, else padding, which T5 starts from (Raffel et al. 2020, in
the released code).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import ModelError
from ..message_text import shown
from .regular_file import exists, read_object

LARGEST = 2**31 - 1
FORCED = ("forced_bos_token_id", "forced_eos_token_id")


@dataclass(frozen=True)
class SpecialIds:
    """The special ids of a checkpoint. ``eos`` holds the ids that end a sentence, at least one."""

    start: int
    eos: tuple[int, ...]
    pad: int


def special_ids(folder: Path, config: Mapping[str, Any], default_start: int | None) -> SpecialIds:
    """The special ids of a checkpoint folder whose ``config.json`` holds ``config``.

    ``default_start`` is the family's own start id, if it has one. Raises ModelError for an id that is not allowed, for
    forced tokens, and if no id ends a sentence.
    """
    path = folder / "generation_config.json"
    if exists(path):
        given: Mapping[str, Any] = read_object(path, "save the checkpoint again, or remove this file")
        where = path.name
    else:
        given, where = {"eos_token_id": 1, "pad_token_id": 0, **config}, "config.json"  # T5Config's defaults

    def read(key: str, given: Mapping[str, Any] = given, where: str = where) -> int | None:
        return _id(f"{folder / where}: {key}", given.get(key))

    for key in FORCED:
        if read(key) is not None:
            raise ModelError(
                f"{folder / where}: {key}={shown(given[key])} is not supported, as no token is forced here; remove the "
                "key to measure the model without"
            )
    if given.get("eos_token_id") is None:
        raise ModelError(
            f'{folder / where} has no eos_token_id, so no sentence would end; add it, as "eos_token_id": 1 for T5'
        )
    eos = _ids(f"{folder / where}: eos_token_id", given["eos_token_id"])
    pad = read("pad_token_id")
    pad = eos[0] if pad is None else pad
    starts = (
        read("decoder_start_token_id"),
        read("bos_token_id"),
        read("decoder_start_token_id", config, "config.json"),
        default_start,
        pad,
    )
    return SpecialIds(next(start for start in starts if start is not None), eos, pad)


def _id(what: str, value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= LARGEST):
        return value
    raise ModelError(f"{what}={shown(value)} is not allowed; give one id of the vocabulary, a whole number")


def _ids(what: str, value: object) -> tuple[int, ...]:
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(type(number) is int and 0 <= number <= LARGEST for number in ids):
        raise ModelError(f"{what}={shown(value)} is not allowed; give an id, or a list of them, that ends a sentence")
    return tuple(dict.fromkeys(ids))
