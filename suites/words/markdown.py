"""Markdown: tables and escaped text."""

from __future__ import annotations

import re
from collections.abc import Sequence


def pipe_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table. Rows shorter than the header are filled up with empty entries.

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
    return "| " + " | ".join(map(literal, cells)) + " |"


def literal(text: str) -> str:
    r"""Escape a label for Markdown: whatever would be a tag, a link, emphasis, code or the border of a table entry.

    >>> print(literal("<b>x</b> [a](b) *c* `d` | static_kv(read=buffer) [0.9, 1.1] _e_"))
    \<b>x\</b> [a]\(b) \*c\* \`d\` \| static_kv(read=buffer) [0.9, 1.1] \_e\_
    """
    text = re.sub(r"[|*`]|<(?=[A-Za-z/!?])|(?<=\])\(|\\(?=[!-/:-@\[-`{-~])", r"\\\g<0>", text)
    return re.sub(r"(?<![0-9A-Za-z_])_|_(?![0-9A-Za-z_])", r"\\_", text)
