"""What can be chosen by name without loading a model: the files of the conf package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .own import CONF


def group(name: str) -> dict[str, str]:
    """Files of conf/<name>/ -> the comment on their first line: the command that runs it, and what it is."""
    found = {}
    for file in sorted((CONF / name).iterdir()):
        if file.name.endswith(".yaml") and file.is_file():
            first = file.read_bytes().decode(errors="replace").split("\n", 1)[0]
            found[file.name.removesuffix(".yaml")] = first.lstrip("# ").partition("        ")[
                2
            ].strip() or first.lstrip("# ")
    return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` where a known name is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
