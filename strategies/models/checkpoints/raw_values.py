"""Values of a ``config.json``, each checked when it is read. Every fault raises a ``ModelError``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..config import ModelError
from ..message_text import shown

LARGEST = 2**31 - 1
"""The largest size; the headers of the files bound the sizes that memory depends on."""


def size(raw: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A whole number of at least 1."""
    value = raw.get(key, default)
    if type(value) is not int or not 1 <= value <= LARGEST:
        raise ModelError(f"{key}={shown(value)} must be a whole number from 1 to {LARGEST}")
    return value


def sizes(raw: Mapping[str, Any], keys: Iterable[str], aliases: Mapping[str, str], what: str) -> dict[str, int]:
    """Sizes that a configuration must have. ``aliases`` are other names of some, which must not contradict."""
    missing = [key for key in keys if key not in raw]
    if missing:
        raise ModelError(f"config.json lacks {', '.join(missing)}; {what} has them")
    found = {key: size(raw, key) for key in keys}
    for alias, key in aliases.items():
        if alias in raw and raw[alias] != found[key]:
            raise ModelError(f"{alias}={shown(raw[alias])} contradicts {key}={found[key]}; keep {key} alone")
    return found


def flag(raw: Mapping[str, Any], key: str, default: bool) -> bool:
    """True or false."""
    value = raw.get(key, default)
    if not isinstance(value, bool):
        raise ModelError(f"{key}={shown(value)} is not allowed; give true or false")
    return value


def version(raw: Mapping[str, Any]) -> int:
    """The major version of transformers that wrote the file, 0 if the file does not say."""
    value = raw.get("transformers_version")
    if value is None:
        return 0
    found = re.match(r"(\d{1,9})\.", value) if isinstance(value, str) else None
    if found is None:
        raise ModelError(f"transformers_version={shown(value)} is not allowed; give one such as '5.24.0'")
    return int(found[1])


def require_whole_model(raw: Mapping[str, Any], with_head: re.Pattern[str], example: str) -> None:
    """Raise ModelError for a model without a head or an encoder, and for quantized weights.

    ``with_head`` matches the names of classes that have a head, such as ``example``.
    """
    names = raw.get("architectures")
    if names is not None and (not isinstance(names, list) or not all(isinstance(name, str) for name in names)):
        raise ModelError(f"architectures={shown(names)} is not allowed; give a list of names, or leave it out")
    if names and not any(with_head.fullmatch(name) for name in names):
        raise ModelError(
            f"architectures names {shown(', '.join(names))}, which generates no text: an encoder alone, a model saved "
            f"without its head, or with another; give the folder of a {example}"
        )
    if raw.get("is_encoder_decoder", True) is not True:
        raise ModelError(
            f"is_encoder_decoder={shown(raw['is_encoder_decoder'])} is not allowed; give a model that has both stacks"
        )
    quantized = raw.get("quantization_config")
    if quantized is None:
        return
    method = quantized.get("quant_method", "unknown") if isinstance(quantized, dict) else quantized
    raise ModelError(
        f"quantization_config says that the weights are quantized ({shown(method)}); give the model as it was before, "
        "or save what transformers' model.dequantize() gives"
    )
