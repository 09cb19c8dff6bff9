"""The ids that decoding starts with, ends at, pads with, forces and never chooses, from where transformers reads them.

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


@dataclass(frozen=True)
class SpecialIds:
    """The special ids of a checkpoint. ``eos`` holds the ids that end a sentence, at least one."""

    start: int
    eos: tuple[int, ...]
    pad: int
    prefix: tuple[int, ...] = ()
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    forced_eos: int | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of ``ModelConfig`` that hold them."""
        return {
            "start_id": self.start,
            "eos_id": self.eos[0],
            "other_eos_ids": self.eos[1:],
            "pad_id": self.pad,
            "prefix_ids": self.prefix,
            "suppress_ids": self.suppressed,
            "begin_suppress_ids": self.suppressed_first,
            "forced_eos_id": self.forced_eos,
        }


def special_ids(folder: Path, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> SpecialIds:
    """The special ids of a checkpoint folder whose ``config.json`` holds ``config``.

    ``defaults`` are the family's values of keys that ``config.json`` leaves out. Raises ModelError for an id that is
    not allowed, and if no id ends a sentence.
    """
    path = folder / "generation_config.json"
    if exists(path):
        given: Mapping[str, Any] = read_object(path, "save the checkpoint again, or remove this file")
        where = path.name
    else:
        given, where = {**defaults, **config}, "config.json"

    def what(key: str) -> str:
        return f"{folder / where}: {key}"

    def read(key: str) -> int | None:
        return _id(what(key), given.get(key))

    if given.get("eos_token_id") is None:
        raise ModelError(
            f'{folder / where} has no eos_token_id, so no sentence would end; add it, as "eos_token_id": '
            f"{defaults['eos_token_id']} for {shown(config.get('model_type'))}"
        )
    eos = _ids(what("eos_token_id"), given["eos_token_id"])
    pad = read("pad_token_id")
    pad = eos[0] if pad is None else pad
    starts = (
        read("decoder_start_token_id"),
        read("bos_token_id"),
        _id(f"{folder / 'config.json'}: decoder_start_token_id", config.get("decoder_start_token_id")),
        defaults.get("decoder_start_token_id"),
        pad,
    )
    first = read("forced_bos_token_id")
    by_place = forced_tokens(given.get("forced_decoder_ids"), what("forced_decoder_ids"))
    words = bad_words(given.get("bad_words_ids"), what("bad_words_ids"))
    ends = {(number,) for number in eos}
    suppressed = [word[0] for word in words if len(word) == 1 and word not in ends]
    return SpecialIds(
        start=next(start for start in starts if start is not None),
        eos=eos,
        pad=pad,
        prefix=by_place or (() if first is None else (first,)),
        suppressed=tuple(
            dict.fromkeys([*_suppressed(what("suppress_tokens"), given.get("suppress_tokens")), *suppressed])
        ),
        suppressed_first=_suppressed(what("begin_suppress_tokens"), given.get("begin_suppress_tokens")),
        forced_eos=_forced_eos(what("forced_eos_token_id"), given.get("forced_eos_token_id")),
    )


def forced_tokens(value: object, what: str) -> tuple[int, ...]:
    """The ids that ``forced_decoder_ids``, a list of [place, id], forces after the start, up to the first gap.

    A place with null, which Whisper's own ``generate`` fills in by listening for a language, ends them.
    """
    if value is None:
        return ()
    by_place: dict[int, int | None] = {}
    for pair in value if isinstance(value, list) else [value]:
        if not (isinstance(pair, list) and len(pair) == 2 and _is_id(pair[0]) and (pair[1] is None or _is_id(pair[1]))):
            raise ModelError(f"{what}={shown(value)} is not allowed; give a list of [place, id]")
        by_place[pair[0]] = pair[1]
    found: list[int] = []
    while (number := by_place.get(1 + len(found))) is not None:
        found.append(number)
    return tuple(found)


def bad_words(value: object, what: str) -> list[tuple[int, ...]]:
    """The sequences of ids that ``bad_words_ids`` lists. Raises ModelError for what is no list of them."""
    words = [] if value is None else value
    if not isinstance(words, list) or not all(isinstance(w, list) and w and all(map(_is_id, w)) for w in words):
        raise ModelError(f"{what}={shown(value)} is not allowed; give a list of lists of token ids")
    return [tuple(word) for word in words]


def _suppressed(what: str, value: object) -> tuple[int, ...]:
    """The ids of a list; -1, which is no id and means none, is left out."""
    ids = [] if value is None else value
    if not isinstance(ids, list) or not all(number == -1 or _is_id(number) for number in ids):
        raise ModelError(f"{what}={shown(value)} is not allowed; give a list of token ids")
    return tuple(dict.fromkeys(number for number in ids if number >= 0))


def _forced_eos(what: str, value: object) -> int | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise ModelError(f"{what}={shown(value)} is not supported, as one id is forced at the last step; give one id")
    return _id(what, value)


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _id(what: str, value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= LARGEST):
        return value
    raise ModelError(f"{what}={shown(value)} is not allowed; give one id of the vocabulary, a whole number")


def _ids(what: str, value: object) -> tuple[int, ...]:
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(map(_is_id, ids)):
        raise ModelError(f"{what}={shown(value)} is not allowed; give an id, or a list of them, that ends a sentence")
    return tuple(dict.fromkeys(ids))
