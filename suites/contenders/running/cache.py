"""The checkpoint that contenders share: this run's model as a Hugging Face folder, kept by what is in it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import save_t5

from ...files import made_once

CACHE = Path("results") / ".cache"
"""Where nothing else is said. May be deleted at any time between runs."""


def digest(model: EncoderDecoder) -> str:
    """Of its sizes and every weight."""
    found = hashlib.sha256(json.dumps(dataclasses.asdict(model.config), sort_keys=True).encode())
    for name, parameter in model.named_parameters():
        found.update(name.encode())
        found.update(parameter.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()[:16]


def shared_checkpoint(model: EncoderDecoder, cache: Path = CACHE) -> Path:
    """The folder ``<cache>/<digest>/t5``, absolute, written whole if it is not there. Raises ModelError, OSError."""
    folder = (cache / digest(model) / "t5").absolute()
    return made_once(folder, lambda part: save_t5(model, part))
