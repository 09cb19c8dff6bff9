"""The checkpoint that contenders share: this run's model as a Hugging Face folder, kept by what is in it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import platformdirs

from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import save_t5

from ...store.files import made_once

KEPT_BYTES = 8 << 30
"""Of checkpoints that are not in use; the one that was used longest ago goes first. May be deleted at any time."""
IN_USE_S = 24 * 3600.0
"""After it was asked for, a checkpoint may be in use by a run."""


def digest(model: EncoderDecoder) -> str:
    """Of its sizes and every weight."""
    found = hashlib.sha256(json.dumps(dataclasses.asdict(model.config), sort_keys=True).encode())
    for name, parameter in model.named_parameters():
        found.update(name.encode())
        found.update(parameter.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()[:16]


def cache_of(run_dir: Path) -> Path:
    """A folder in the user's cache, or in the run folder where that cannot be made."""
    folder = platformdirs.user_cache_path("decodebench") / "contenders"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return run_dir / "contenders"
    return folder if os.access(folder, os.W_OK) else run_dir / "contenders"


def shared_checkpoint(model: EncoderDecoder, cache: Path) -> Path:
    """The folder ``<cache>/<digest>/t5``, absolute, written whole if it is not there. Raises ModelError, OSError."""
    entry = (cache / digest(model)).absolute()
    folder = made_once(entry / "t5", lambda part: save_t5(model, part))
    with contextlib.suppress(OSError):
        os.utime(entry)
    bound(cache)
    return folder


def bound(cache: Path, kept_bytes: int = KEPT_BYTES, in_use_s: float = IN_USE_S) -> None:
    """Remove checkpoints, the longest unused first, until the rest takes ``kept_bytes``; none that may be in use."""
    used = sorted(((entry.stat().st_mtime, entry) for entry in cache.iterdir() if entry.is_dir()), reverse=True)
    total = 0
    for used_s, entry in used:
        total += sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
        if total > kept_bytes and time.time() - used_s > in_use_s:
            shutil.rmtree(entry, ignore_errors=True)
