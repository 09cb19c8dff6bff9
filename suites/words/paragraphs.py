"""Text for people in a terminal: paragraphs and entries of lists, broken at words."""

from __future__ import annotations

import textwrap

WIDTH = 80
"""Columns of a terminal that help is written for."""


def filled(text: str, width: int = WIDTH) -> str:
    r"""Fill each paragraph to lines of at most ``width`` characters. Lines that are indented stay as they are.

    >>> print(filled("one two\nthree\n\n  a  command\nfour", 11))
    one two
    three
    <BLANKLINE>
      a  command
    four
    """
    out: list[str] = []
    paragraph: list[str] = []
    for line in [*text.split("\n"), None]:
        if line is not None and line.strip() and not line.startswith(" "):
            paragraph.append(line)
            continue
        out += _wrapped(" ".join(paragraph), width)
        paragraph = []
        out += [] if line is None else [line]
    return "\n".join(out)


def entry(name: str, text: str, column: int = 28, width: int = WIDTH) -> list[str]:
    """Lines of a list's entry: the name, and the text from ``column`` on; below a name that is too long for that.

    >>> entry("name", "a text of words", 8, 18)
    ['  name  a text of', '        words']
    >>> entry("longer=name", "a text", 8, 18)
    ['  longer=name', '        a text']
    """
    head, indent = f"  {name}", " " * column
    lines = _wrapped(text, width - column)
    if len(head) + 2 > column:
        return [head, *(f"{indent}{line}" for line in lines)]
    first, *rest = lines or [""]
    return [f"{head:{column}}{first}".rstrip(), *(f"{indent}{line}" for line in rest)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
