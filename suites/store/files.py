"""Files of a run folder: written whole or not at all, and one clear line for what cannot be read."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strategies import Mistake

from ..words.labels import plain


class ResultsError(Mistake):
    """A run folder that cannot be read; the message is one line."""


def write_json(path: Path, content: Any) -> None:
    """Write whole or not at all; a number that is not finite is null, as JSON has neither NaN nor infinity."""
    write_text(path, json.dumps(finite(content), indent=1, default=str, allow_nan=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write whole or not at all, as UTF-8; a byte of a file's name that is no character is written as an escape."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write whole or not at all: to a temporary name, which then takes the place of the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:  # a full disk is met in a write, which names no file
        raise _of(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add a line, whole: what a full disk took of it is cut off again. Raises OSError that names the file."""
    try:
        with path.open("ab", buffering=0) as file:
            end, rest = file.tell(), f"{line}\n".encode()
            try:
                while rest:  # of a write that a limit cuts, the next says why
                    rest = rest[file.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise
    except OSError as error:
        raise _of(path, error) from None


def _of(path: Path, error: OSError) -> OSError:
    """The same error with the file's name."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def lost(path: Path, what: str, error: Exception) -> str:
    """A sentence for what could not be made, whose traceback is kept in ``path``."""
    write_text(path, "".join(traceback.format_exception(error)))
    first = plain((str(error).strip() or "no message").splitlines()[0])[:200]
    return f"{what} could not be made ({type(error).__name__}: {first}); {path} has the traceback, please report it"


def made_once(folder: Path, fill: Callable[[Path], object]) -> Path:
    """``folder``; if it is not there, ``fill`` makes it under a temporary name, so that it is whole or not at all.

    Another process may do the same meanwhile: the first stays.
    """
    if folder.exists():
        return folder
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
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
    """The content of a file of a run folder. Raises ResultsError."""
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
    """Whether there is such a file or folder. Raises ResultsError where that cannot be told."""
    try:
        return path.exists()
    except OSError as error:
        raise _unreadable(path, error) from None


def is_folder(path: Path) -> bool:
    """Whether it is a folder. Raises ResultsError where that cannot be told."""
    try:
        return path.is_dir()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be read ({error.strerror}); give a folder that `run` wrote, and you may read")


def finite(content: Any) -> Any:
    """The same with None for what is no finite number, as JSON has neither NaN nor infinity.

    >>> finite({"a": [1.5, float("nan")]})
    {'a': [1.5, None]}
    """
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def read_json(path: Path) -> Any:
    """The content of a JSON file of a run folder. Raises ResultsError."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets
        raise ResultsError(f"{path} is not readable as JSON ({error}); the file is damaged or foreign") from None
