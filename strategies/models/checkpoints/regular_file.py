"""Read files that somebody else wrote, once it is known that they can be read to their end."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from ..config import ModelError

JSON_LIMIT_BYTES = 64 * 2**20
"""The largest JSON file that is read, far above any configuration or index of tensors."""


def exists(path: Path) -> bool:
    """Whether there is anything at ``path``. Raises ModelError if that cannot be found out."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ModelError(f"cannot look at {path}: {error.strerror}; give a folder that can be read") from None
    return True


def size_of(path: Path, remedy: str) -> int:
    """Size of a regular file in bytes. Raises ModelError for a folder, and for a pipe or device, which may not end."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{path} does not exist; {remedy}") from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; {remedy}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise ModelError(f"{path} is {kind}, not a file; {remedy}")
    return status.st_size


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object that a file holds. Raises ModelError, whose message ends with ``remedy``, if there is none."""
    size = size_of(path, remedy)
    if size > JSON_LIMIT_BYTES:
        raise ModelError(f"{path} has {size:,} bytes, above the {JSON_LIMIT_BYTES:,} allowed; {remedy}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; {remedy}") from None
    except RecursionError:
        raise ModelError(f"{path} is nested too deeply; {remedy}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not JSON ({error}); {remedy}") from None
    except ValueError:  # Python's own limit on the digits of a whole number
        raise ModelError(f"{path} holds a number of too many digits; {remedy}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object; {remedy}")
    return content
