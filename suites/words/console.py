"""The console that results are printed to: standard output, as wide as the terminal or, without one, as asked."""

from __future__ import annotations

from typing import Any

from rich.console import Console

READABLE = 100
"""Width, in columns, of output that goes to a file and is read by people."""
UNBROKEN = 10_000
"""Width, in columns, at which no line is wrapped or cut: for programs that read lines."""


def console(**options: Any) -> Console:
    """Make a console that prints text unchanged: a bracket in a label is no markup and ``:name:`` no emoji."""
    return Console(markup=False, emoji=False, highlight=False, **options)


def standard_output(width: int = READABLE) -> Console:
    """Make the console for standard output. ``width``, in columns, applies where it is not a terminal."""
    out = console()
    return out if out.is_terminal else console(width=width)
