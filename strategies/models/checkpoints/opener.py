"""Open and load a Hugging Face folder of any family that is known.

Everything is checked in ``config.json`` and the headers of the files before anything of the model's size is allocated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..config import ModelConfig, ModelError
from ..encoder_decoder import EncoderDecoder
from .families import family_of
from .family import Names
from .folder import GIVE, existing_folder, require_a_model, weight_files
from .raw_values import require_whole_model
from .regular_file import read_object
from .shapes import parameter_shape
from .special_ids import special_ids
from .stamp import Stamp, is_settled, stamp_of
from .stored_names import StoredNames
from .tensors import StoredTensors


@dataclass(frozen=True)
class OpenedCheckpoint:
    """A folder whose configuration, names, shapes and types are sound.

    ``table`` is our name of a parameter -> the stored tensors that are stacked to make it, with None for zeros.
    """

    path: Path
    config: ModelConfig
    stored: StoredTensors
    table: Names


_kept: dict[Path, tuple[Stamp, OpenedCheckpoint]] = {}
"""The folder that was opened last, with the stamp that its files had: every cell of a sweep asks for it."""


def open_checkpoint(folder: str | Path) -> OpenedCheckpoint:
    """Read and check everything about a folder except the values of its weights. Raises ModelError for any fault."""
    path = existing_folder(folder)
    require_a_model(path)
    raw = read_object(path / "config.json", GIVE)
    try:
        files = weight_files(path, of_speech=raw.get("model_type") == "whisper")
        stamp: Stamp = []
        with contextlib.suppress(OSError):  # such as of a name no file can have: reading says more
            stamp = stamp_of([path / "config.json", path / "generation_config.json", *files])
        if stamp and path in _kept and _kept[path][0] == stamp:
            return _kept[path][1]
        opened = _opened(path, raw, files)
    except ModelError as error:
        told = str(error)
        raise ModelError(told if str(path) in told else f"{path}: {told}") from None
    _kept.clear()
    if stamp and is_settled(stamp):
        _kept[path] = stamp, opened
    return opened


def _opened(path: Path, raw: Mapping[str, Any], files: Sequence[Path]) -> OpenedCheckpoint:
    family = family_of(raw)
    require_whole_model(raw, family.with_head, family.example)
    facts = family.facts(raw)
    ids = special_ids(path, raw, facts.default_ids)
    stored = StoredTensors(files)
    for key, layers in facts.layers.items():
        if layers > len(stored.names):
            raise ModelError(f"config.json says {key}={layers}, and the files hold {len(stored.names)} tensors")
    names = StoredNames(family, facts, stored)
    fields = {**facts.fields, **ids.fields, **names.fields}
    config = ModelConfig(**fields)
    _require_match(stored, config, names)
    fields |= names.fields_by_values(config)  # whose shapes are known to be right
    config = ModelConfig(**fields)
    return OpenedCheckpoint(path, config, stored, names.table(config))


def _require_match(stored: StoredTensors, config: ModelConfig, names: StoredNames) -> None:
    """Raise ModelError unless each tensor that the model reads is stored as it must be, and each stored one is read."""
    table, aliases = names.table(config), names.aliases(config)
    needed = [name for parts in table.values() for name in parts if name is not None]
    missing = [name for name in needed if name not in stored.names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(f"tensor {missing[0]} is missing{more}; the checkpoint does not match its config.json")
    same = [name for group in aliases.values() for name in group]
    unread = sorted(stored.names - {*needed, *same, *names.strays})
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        quantized = any(name.endswith((".SCB", ".weight_format", ".absmax")) for name in unread)
        remedy = (
            "the weights are quantized: give the model as it was before"
            if quantized
            else "config.json describes no such tensor: give a config.json and weights that were saved together"
        )
        raise ModelError(f"tensor {unread[0]} is stored and nothing reads it{more}; {remedy}")
    every: list[tuple[str, list[str | None]]] = [*table.items()]
    every += [(ours, [name]) for ours, group in aliases.items() for name in group]
    for ours, parts in every:
        shape = parameter_shape(config, ours)
        for name in parts:
            if name is not None:
                stored.require_float(name)
                stored.require_shape(name, names.shape(name, shape, len(parts)), "config.json")
    for group in aliases.values():
        for name in group[1:]:
            if not stored.equal(group[0], name):
                raise ModelError(
                    f"tensors {group[0]} and {name} differ; encoder and decoder share one embedding here: give a model "
                    "that does"
                )


def load_checkpoint(folder: str | Path, **choices: Any) -> EncoderDecoder:
    """Load a Hugging Face folder (one file or shards, any float dtype) as a float32 model.

    ``choices`` are fields of its ``ModelConfig`` to replace. Raises ModelError if the folder cannot be read.
    """
    opened = open_checkpoint(folder)
    model = EncoderDecoder(replace(opened.config, **choices))
    with torch.no_grad():
        for ours, parameter in model.named_parameters():
            names = opened.table[ours]
            for name, part in zip(names, parameter.chunk(len(names)), strict=True):
                if name is None:
                    part.zero_()
                else:
                    part.copy_(opened.stored.read(name).view(part.shape))
    return model


def config_of_checkpoint(folder: str | Path, **choices: Any) -> ModelConfig:
    """The configuration of a folder's model, without reading its weights. Raises ModelError as ``load_checkpoint``."""
    return replace(open_checkpoint(folder).config, **choices)
