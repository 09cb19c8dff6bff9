"""Stamps of files: if the stamp is still the same as when the files were read, they have not changed since."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SETTLED_S = 2.0
"""A file that changed less than this many seconds ago may change again without a change of its time."""
Stamp = list[list[Any]]
"""Path, bytes, and times of change in nanoseconds of each file."""


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """The stamp of those of ``paths`` that exist. Raises OSError if one cannot be looked at."""
    stats = [(path, path.stat()) for path in sorted(paths) if path.exists()]
    return [[str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for path, stat in stats]


def is_settled(stamp: Stamp, when_s: float | None = None) -> bool:
    """Whether no file changed shortly before ``when_s`` (None: now), so that every later change alters the stamp."""
    when_s = time.time() if when_s is None else when_s
    return all(max(times) < (when_s - SETTLED_S) * 1e9 for _, _, *times in stamp)
