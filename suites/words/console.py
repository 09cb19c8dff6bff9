"""Where results are printed: standard output, as wide as the terminal, or as wide as asked where there is none."""

from __future__ import annotations

from typing import Any

from rich.console import Console

READABLE = 100
"""Columns for people who read a file."""
UNBROKEN = 10_000
"""Columns where nothing is to be wrapped or cut: for programs that read lines."""


def console(**options: Any) -> Console:
    """One that prints text as it stands: a bracket in a label is no markup, and ``:name:`` no picture."""
    return Console(markup=False, emoji=False, highlight=False, **options)


def standard_output(width: int = READABLE) -> Console:
    """Standard output; ``width`` in columns holds where it is not a terminal."""
    out = console()
    return out if out.is_terminal else console(width=width)
