"""Files that register themselves: all are imported, and one that cannot be is told in a line and left out."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Collection
from functools import partial
from importlib.metadata import entry_points

LEFT_OUT: dict[str, str] = {}
"""Module, or entry point, that is left out -> why, in one line."""


def import_all(package: str, first: Collection[str], entry_point_group: str = "") -> None:
    """Import a package's modules, its packages left out, and what other distributions offer by an entry point.

    ``first``: modules whose names nobody may take, so they come before the others.
    """
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    for module in sorted(found, key=lambda module: module.name not in first):
        if not module.ispkg:
            name = f"{package}.{module.name}"
            _attempt(name, f"{name.replace('.', '/')}.py", partial(importlib.import_module, name))
    for point in entry_points(group=entry_point_group) if entry_point_group else ():
        _attempt(point.module, f"the entry point {point.name} = {point.value}", point.load)


def leave_out(module: str, what: str, error: BaseException) -> None:
    """Tell on standard error, once, that ``what`` is left out, and why."""
    if module in LEFT_OUT:
        return
    text = next(iter(str(error).strip().splitlines()), "")[:200]
    LEFT_OUT[module] = f"{what} is left out: {type(error).__name__}{f': {text}' if text else ''}{_line(error, module)}"
    print(f"decodebench: {LEFT_OUT[module]}; python -c 'import {module}' shows more", file=sys.stderr)


def _attempt(module: str, what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a file of a user may end in any way, by sys.exit too: the others go on
        leave_out(module, what, error)


def _line(error: BaseException, module: str) -> str:
    """Where in the module's own file it was raised, or "" where that is not known or said already."""
    if isinstance(error, SyntaxError):
        return ""
    end = f"{module.replace('.', '/')}.py"
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename.endswith(end)]
    return f", line {lines[-1]}" if lines else ""
