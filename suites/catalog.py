"""What can be chosen by name without loading a model: the files of the conf package."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from importlib.metadata import entry_points

from .own import CONF


def group(name: str) -> dict[str, str]:
    """Files of conf/<name>/ -> the comment on their first line: the command that runs it, and what it is."""
    found = {}
    for file in sorted((CONF / name).iterdir()):
        if file.name.endswith(".yaml"):
            first = file.read_text(encoding="utf-8").split("\n", 1)[0]
            found[file.name.removesuffix(".yaml")] = first.lstrip("# ").partition("        ")[
                2
            ].strip() or first.lstrip("# ")
    return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` where a known name is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def import_modules(package: str, entry_point_group: str = "") -> None:
    """Import a package's modules, its packages left out, and what others offer, so that each registers itself."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not module.ispkg:
            importlib.import_module(f"{package}.{module.name}")
    for point in entry_points(group=entry_point_group) if entry_point_group else ():
        point.load()
