"""The folder of converted models beside a checkpoint, whose name says what converted them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import strategies.models

from ...store.files import made_once
from ..running.cache import IN_USE_S


@cache
def versioned(kind: str, *libraries: str) -> str:
    """The name of the folder: ``kind`` and a digest of what its content depends on beside the checkpoint.

    These are the versions of ``libraries``, the sources of this package, and those of the models.
    """
    found = hashlib.sha256("".join(f"{library} {version(library)}\n" for library in libraries).encode())
    for folder in (Path(__file__).parent, Path(strategies.models.__path__[0])):
        for file in sorted(folder.glob("*.py")):
            found.update(file.name.encode() + b"\n" + file.read_bytes())
    return f"{kind}-{found.hexdigest()[:8]}"


def made_folder(checkpoint: Path, name: str, fill: Callable[[Path], object]) -> Path:
    """The folder ``name`` beside the checkpoint, made by ``fill`` if it is not there yet.

    Folders of the same kind that were converted by something else are removed, except those that a run may still use.
    """
    folder = made_once(checkpoint.with_name(name), fill)
    with contextlib.suppress(OSError):
        os.utime(folder)
    kind, _, _ = name.rpartition("-")
    for entry in folder.parent.iterdir():
        if entry.name.lstrip(".").startswith(f"{kind}-") and entry != folder:
            with contextlib.suppress(OSError):
                if time.time() - entry.stat().st_mtime > IN_USE_S:
                    shutil.rmtree(entry, ignore_errors=True)
    return folder
