"""A digest of what a checkpoint folder holds: the same for the same model, wherever its folder lies.

Reading a large folder takes as long as loading it, so its digest is kept in the user's cache, by path, sizes and times
of change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from ..config import ModelError
from .stamp import Stamp, is_settled, stamp_of

CONFIGURATIONS = ("config.json", "generation_config.json")
PLACES = ("_name_or_path",)
"""Keys of a configuration that say where a model was, not what it is."""
PIECE_BYTES = 1 << 24


def checkpoint_digest(folder: Path, files: Mapping[str, Path]) -> str:
    """The digest of all tensors (name, type, shape, bytes) and of the configuration, 16 hexadecimal digits.

    ``files`` maps the name of a tensor to the safetensors file that holds it. How tensors are spread over files makes
    no difference. Raises ModelError if a file cannot be read.
    """
    found = [folder / name for name in CONFIGURATIONS if (folder / name).exists()]
    try:
        stamp = stamp_of([*found, *set(files.values())])
        if known := _kept(folder, stamp):
            return known
        began_s = time.time()
        digest = _digest(found, files)
        if is_settled(stamp, began_s) and stamp == stamp_of([*found, *set(files.values())]):
            _keep(folder, stamp, digest)
    except OSError as error:
        raise ModelError(f"cannot read {error.filename or folder}: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{folder}: a header of its safetensors files is damaged; save the checkpoint again") from None
    return digest


def _digest(configurations: list[Path], files: Mapping[str, Path]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for path in configurations:
        found.update(f"{path.name}\n{_configuration(path)}\n".encode())
    entries = {path: _entries(path) for path in sorted(set(files.values()))}
    for name, path in sorted(files.items()):
        entry = entries[path][name]
        found.update(f"{name}\n{entry['dtype']} {entry['shape']}\n".encode())
        for piece in _pieces(path, *entry["data_offsets"]):
            found.update(piece)
    return found.hexdigest()


def _configuration(path: Path) -> str:
    """The file's JSON with its keys sorted and without ``PLACES``; the text as it is if it is no JSON."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            content = {key: value for key, value in content.items() if key not in PLACES}
        return json.dumps(content, sort_keys=True)
    except (ValueError, RecursionError):
        return text


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    """Name of a tensor -> its type, shape and offsets from the start of the file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    return {
        name: {**entry, "data_offsets": [8 + size + offset for offset in entry["data_offsets"]]}
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (piece := file.read(min(PIECE_BYTES, end - start))):
            start += len(piece)
            yield piece


def _place(folder: Path) -> Path:
    """The cache file of a folder. There is one per folder, so the cache does not grow when a folder changes."""
    name = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=16).hexdigest()
    return platformdirs.user_cache_path("decodebench") / "checkpoints" / f"{name}.json"


def _kept(folder: Path, stamp: Stamp) -> str:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        known = json.loads(_place(folder).read_text())
        if known["files"] == stamp:
            return str(known["digest"])
    return ""


def _keep(folder: Path, stamp: Stamp, digest: str) -> None:
    """Write the digest to the cache, whole or not at all. If that fails, the folder is read again the next time."""
    path = _place(folder)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"files": stamp, "digest": digest}))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
