"""Files of a run folder: written whole or not at all, and read with one clear line of error."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import shutil
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from strategies import Mistake

from ..words.labels import plain


class ResultsError(Mistake):
    """A run folder, or a file in it, that cannot be read. The message is one line."""


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all. NaN and infinity are written as null, since JSON has neither."""
    write_text(path, json.dumps(finite(content), indent=1, default=str, allow_nan=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write text as UTF-8, whole or not at all. Bytes of a file name that are no UTF-8 are written as escapes."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def write_json_once(path: Path, content: Any) -> bool:
    """Write JSON, whole or not at all, unless the file exists. Returns whether it was written.

    The file system decides, not what this machine knows of it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    write_json(part, content)
    try:
        os.link(part, path)
        return True
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.name in listed(path.parent):
            return False
        part.replace(path)
        return True
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: under a temporary name, which then replaces the old file.

    Raises OSError that names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:  # a full disk shows in a write, whose error names no file
        raise _of(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append a line, whole or not at all: what was written of it before the disk was full is cut off again.

    Raises OSError that names ``path``.
    """
    try:
        with path.open("ab", buffering=0) as file:
            end, rest = file.tell(), f"{line}\n".encode()
            try:
                while rest:  # a write that stops short raises nothing; the next one raises the reason
                    rest = rest[file.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise
    except OSError as error:
        raise _of(path, error) from None


def _of(path: Path, error: OSError) -> OSError:
    """Make the same error with the name of the file."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def lost(path: Path, what: str, error: Exception) -> str:
    """Write the traceback of ``error`` to ``path``, and return a sentence that says what could not be made and why."""
    write_text(path, "".join(traceback.format_exception(error)))
    first = plain((str(error).strip() or "no message").splitlines()[0])[:200]
    return f"{what} could not be made ({type(error).__name__}: {first}); {path} has the traceback, please report it"


def made_once(folder: Path, fill: Callable[[Path], object]) -> Path:
    """Make ``folder``, whole or not at all, unless it exists, and return it.

    ``fill`` makes it under a temporary name, which is then renamed. If another process makes the folder meanwhile, the
    first to finish wins. What processes of this machine that were killed have left of it is removed first.
    """
    if folder.exists():
        return folder
    named = f".{folder.name}.{platform.node()}."
    for name in listed(folder.parent):
        pid = name.removeprefix(named).removesuffix(".part")
        if name == f"{named}{pid}.part" and pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder.with_name(name), ignore_errors=True)
    part = folder.with_name(f"{named}{os.getpid()}.part")
    try:
        fill(part)
        part.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def read_text(path: Path) -> str:
    """Read a text file of a run folder. Raises ResultsError if it is missing, unreadable, not regular or not UTF-8."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device has no end
            raise ResultsError(f"{path} cannot be read (it is no regular file); give a folder that `run` wrote")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultsError(f"{path} does not exist; give a folder that `run` wrote, such as results/latest") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except UnicodeDecodeError as error:
        raise ResultsError(f"{path} is not text ({error}); the file is damaged or foreign") from None


def exists(path: Path) -> bool:
    """Whether a file or folder exists. Raises ResultsError if the operating system does not say."""
    try:
        return path.exists()
    except OSError as error:
        raise _unreadable(path, error) from None


def listed(folder: Path) -> frozenset[str]:
    """The names in a folder; none where it does not exist.

    Network file systems may go on for a minute to say that a file is not there which another machine has written
    meanwhile. Reading the folder asks the server.
    """
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise _unreadable(folder, error) from None


def is_folder(path: Path) -> bool:
    """Whether a path is a folder. Raises ResultsError if the operating system does not say."""
    try:
        return path.is_dir()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be read ({error.strerror}); give a folder that `run` wrote and you may read")


def finite(content: Any) -> Any:
    """Copy ``content`` with NaN and infinity replaced by None, since JSON has neither.

    >>> finite({"a": [1.5, float("nan")]})
    {'a': [1.5, None]}
    """
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder. Raises ResultsError as ``read_text`` does, or if it is not JSON."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits; brackets nested too deeply
        raise ResultsError(f"{path} is not readable as JSON ({error}); the file is damaged or foreign") from None
