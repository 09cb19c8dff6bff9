"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def pipe_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows shorter than the header are filled up.

    >>> print(pipe_table(["a", "b"], [["1", "x|y"], ["2"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    | 2 |  |
    """
    width = len(header)
    lines = [_pipes(header), "|" + "---|" * width, *(_pipes([*row, *[""] * (width - len(row))]) for row in rows)]
    return "\n".join(lines)


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
