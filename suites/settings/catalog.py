"""What can be chosen by name without loading a model: the files of the conf package."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterable
from functools import partial
from importlib.metadata import entry_points

from .faults import Fault, contained
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


def import_modules(package: str, first: Collection[str], entry_point_group: str = "") -> None:
    """Import a package's modules, its packages left out, and what others offer, so that each registers itself.

    One that cannot be imported is told in a line and left out. ``first``: modules whose names nobody may take, so they
    come before the others. This is ``strategies.discovery`` without torch, which
    that package imports.
    """

    def attempt(module: str, what: str, load: Callable[[], object]) -> None:
        def tell(fault: Fault) -> None:
            line = f"{what} is left out: {fault.located}; python -c 'import {module}' shows more"
            print(f"decodebench: {line}", file=sys.stderr)

        with contained(tell):
            load()

    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    for module in sorted(found, key=lambda module: module.name not in first):
        if not module.ispkg:
            name = f"{package}.{module.name}"
            attempt(name, f"{name.replace('.', '/')}.py", partial(importlib.import_module, name))
    for point in entry_points(group=entry_point_group) if entry_point_group else ():
        attempt(point.module, f"the entry point {point.name} = {point.value}", point.load)
