"""Import files that register themselves, such as strategies. A file that fails is left out with a one-line warning."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Collection
from functools import partial
from importlib.metadata import entry_points

from .models.message_text import described

LEFT_OUT: dict[str, str] = {}
"""Module that is left out, of a file or of an entry point -> the reason, in one line."""


def import_all(package: str, first: Collection[str], entry_point_group: str = "") -> None:
    """Import the modules of ``package``, without its subpackages, and what other distributions offer as entry points.

    The modules named in ``first`` are imported before the others, so that no other can take the names they register.
    """
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    for module in sorted(found, key=lambda module: module.name not in first):
        if not module.ispkg:
            name = f"{package}.{module.name}"
            _attempt(name, f"{name.replace('.', '/')}.py", partial(importlib.import_module, name))
    for point in entry_points(group=entry_point_group) if entry_point_group else ():
        where = getattr(point, "module", point.value)  # one that is malformed has none
        _attempt(where, f"the entry point {point.name} = {point.value}", point.load)


def leave_out(module: str, what: str, error: BaseException) -> None:
    """Print one line on standard error that says that ``what`` is left out, and why; once per module."""
    if module in LEFT_OUT:
        return
    LEFT_OUT[module] = f"{what} is left out: {described(error)}{_line(error, module)}"
    print(f"decodebench: {LEFT_OUT[module]}; python -c 'import {module}' shows more", file=sys.stderr)


def _attempt(module: str, what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's file may raise anything, even SystemExit; the others still load
        leave_out(module, what, error)


def _line(error: BaseException, module: str) -> str:
    """The text ", line N" for the line of the module's file that raised; "" if it is unknown or in the error's text."""
    if isinstance(error, SyntaxError):
        return ""
    end = f"{module.replace('.', '/')}.py"
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename.endswith(end)]
    return f", line {lines[-1]}" if lines else ""
