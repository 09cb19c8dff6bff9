"""Names that can be chosen without loading a model: the files of the folder ``conf``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .own_package import CONF


def group(name: str) -> dict[str, str]:
    """Map each name of a YAML file in ``conf/<name>/`` to a description, taken from the comment on its first line.

    The first line holds the command that runs the file and then, after eight spaces, the description. A line without a
    description is given whole.
    """
    found = {}
    for file in sorted((CONF / name).iterdir()):
        if file.name.endswith(".yaml") and file.is_file():
            first = file.read_bytes().decode(errors="replace").split("\n", 1)[0]
            found[file.name.removesuffix(".yaml")] = first.lstrip("# ").partition("        ")[
                2
            ].strip() or first.lstrip("# ")
    return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` with the known name that is closest, or "" where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
