"""Where results are printed: standard output, as wide as the terminal, or as wide as asked where there is none."""

from __future__ import annotations

from rich.console import Console

READABLE = 100
"""Columns for people who read a file."""
UNBROKEN = 10_000
"""Columns where nothing is to be wrapped or cut: for programs that read lines."""


def standard_output(width: int = READABLE) -> Console:
    """Standard output; ``width`` in columns holds where it is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=width)
