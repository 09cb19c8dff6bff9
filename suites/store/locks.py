"""Locks of a run folder, so that no two processes measure one cell, or plan or collect one run, at the same time.

They are the operating system's (``flock``), so a process that ends in any way gives its locks back. A file that merely
exists is no lock. On NFS, ``flock`` works between machines from Linux 2.6.12 on, unless the file system is mounted with
``nolock`` or ``local_lock=flock``.

locks/run.lock      held by the process that plans a run and measures it or waits for its jobs
locks/collect.lock  held while tables, plots and the report are made
locks/cell-*.lock   held by the process that measures the cell
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from strategies import Mistake

FOLDER = "locks"
PROBING_S = 5.0
"""Seconds to wait for a lock that seems free: a process that only asks whether it is held holds it for a moment."""
LONGEST = 200
"""Bytes of a cell's id that stand in the name of its lock; ids end in what is unique, and a name has 255 bytes."""


class BusyError(Mistake):
    """Another process holds a lock. The message is one line."""


def cell_lock(run_dir: Path, cell_id: str) -> Path:
    """Path of the lock of a cell."""
    return run_dir / FOLDER / f"cell-{cell_id.encode()[-LONGEST:].decode(errors='ignore')}.lock"


def run_lock(run_dir: Path) -> Path:
    """Path of the lock of the process that runs a run."""
    return run_dir / FOLDER / "run.lock"


def collect_lock(run_dir: Path) -> Path:
    """Path of the lock of the process that collects a run."""
    return run_dir / FOLDER / "collect.lock"


@contextmanager
def locked(path: Path, busy: str, seconds_max: float = 0.0) -> Iterator[None]:
    """Hold a lock inside the ``with`` block; wait for it at most ``seconds_max``.

    Raises BusyError with the text ``busy``, in which ``{holder}`` is replaced by who holds it, and OSError where the
    lock cannot be made or the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(path)
    try:
        lock.acquire(timeout=seconds_max)
    except Timeout:
        raise BusyError(busy.format(holder=_holder(path))) from None
    except NotImplementedError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(path)) from None
    except OSError as error:  # its own names no file
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process, this one included, holds a lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:  # shared, so that two that only ask do not see each other
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(descriptor)
    return False


def _lock(path: Path) -> FileLock:
    return FileLock(path, thread_local=False, fallback_to_soft=False, preserve_lock_file=True, on_acquired=_note_holder)


def _note_holder(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"process": os.getpid(), "node": platform.node()}).encode(), 0)


def _holder(path: Path) -> str:
    """Who holds a lock, as "process 123 on NODE", or "another process" where the file does not say."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"process {int(found['process'])} on {found['node']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
