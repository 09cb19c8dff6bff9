"""Show a value in a message of one line."""

from __future__ import annotations

import re
from typing import Any

WIDTH = 60
"""The most characters that a message shows of a value."""
PLACE = re.compile(r"Exception from \S+:\d+:")
"""A line of OpenVINO's messages that says where its code raised an exception."""
LONGEST = 500
"""Characters of an exception's message that a row or a line shows."""


def plain(text: str) -> str:
    """A text on one line, cut where it is long.

    >>> plain("it\\n"), len(plain("a" * 100))
    ('it\\\\n', 60)
    """
    one_line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: 2 * WIDTH])
    return one_line if len(one_line) <= WIDTH else one_line[: WIDTH - 3] + "..."


def shown(value: Any) -> str:
    """The repr of a value, cut where it is long; a text is always in single quotes.

    >>> shown(10**30), shown("a" * 100)[-8:], shown("it\\n")
    ('1000000000000000000000000000000', "aaaa...'", "'it\\\\n'")
    """
    if isinstance(value, str):
        return f"'{plain(value)}'"
    try:
        text = repr(value)
    except ValueError:  # more digits than Python shows
        text = "a number of too many digits"
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def first_line(error: BaseException) -> str:
    """First line of an exception's message, made printable and cut after ``LONGEST`` characters.

    Lines that say no more than where a library's own code raised it are passed over.

    >>> first_line(RuntimeError("Exception from src/core.cpp:126:\\nno such device"))
    'no such device'
    """
    try:
        message = str(error)
    except Exception:  # __str__ of a user's own class may raise
        message = "its message cannot be read"
    lines = [line.strip() for line in message.strip().splitlines()] or [""]
    line = next((line for line in lines if not PLACE.fullmatch(line)), lines[0])
    clean = "".join(letter if letter.isprintable() else "?" for letter in line)
    return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]}..."


def described(error: BaseException) -> str:
    """Type of an exception and the first line of its message, if it has one.

    >>> described(KeyError("mine")), described(SystemExit())
    ("KeyError: 'mine'", 'SystemExit')
    """
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
