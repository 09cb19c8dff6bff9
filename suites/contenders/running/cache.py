"""The checkpoint that contenders share: the cell's model as a Hugging Face folder, cached by digest."""

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
import torch

from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import save_checkpoint
from strategies.models.held import plain

from ...store.files import made_once

KEPT_BYTES = 8 << 30
"""Bytes of checkpoints that are kept, the least recently used going first. The cache may be deleted at any time."""
IN_USE_S = 24 * 3600.0
"""Seconds after its last request during which a run may still use a checkpoint."""


def digest(model: EncoderDecoder) -> str:
    """Digest of the model's sizes and of all weights, by their values in float32, which is what is written of them.

    So a model in bfloat16 has the digest of a float32 model with the same values, and another than the model that it
    was rounded from.
    """
    found = hashlib.sha256(json.dumps(dataclasses.asdict(model.config), sort_keys=True).encode())
    for name, parameter in model.named_parameters():
        found.update(name.encode())
        found.update(plain(parameter).to("cpu", torch.float32).contiguous().numpy().data)
    return found.hexdigest()[:16]


def cache_of(run_dir: Path) -> Path:
    """Return a folder in the user's cache, or in the run folder if that one cannot be made or written."""
    folder = platformdirs.user_cache_path("decodebench") / "contenders"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return run_dir / "contenders"
    return folder if os.access(folder, os.W_OK) else run_dir / "contenders"


def shared_checkpoint(model: EncoderDecoder, cache: Path) -> Path:
    """Return the folder ``<cache>/<digest>/checkpoint``, absolute, and write it at once if it is not there.

    The weights are those of the cell, already rounded to its type, written in float32, which holds them all exactly.
    A contender that loads them in the cell's type gets the same values.

    Raises ModelError or OSError.
    """
    entry = (cache / digest(model)).absolute()
    folder = made_once(entry / "checkpoint", lambda part: save_checkpoint(model, part))
    with contextlib.suppress(OSError):
        os.utime(entry)
    bound(cache)
    return folder


def bound(cache: Path, kept_bytes: int = KEPT_BYTES, in_use_s: float = IN_USE_S) -> None:
    """Remove least recently used checkpoints beyond ``kept_bytes``, except those that a run may still use."""
    used = sorted(((entry.stat().st_mtime, entry) for entry in cache.iterdir() if entry.is_dir()), reverse=True)
    total = 0
    for used_s, entry in used:
        total += sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
        if total > kept_bytes and time.time() - used_s > in_use_s:
            shutil.rmtree(entry, ignore_errors=True)
