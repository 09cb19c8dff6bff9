"""A value for a message of one line."""

from __future__ import annotations

from typing import Any

WIDTH = 60
"""Characters that a message shows of a value."""


def shown(value: Any) -> str:
    """Its repr, cut where it is long; of a text the quotes are single ones.

    >>> shown(10**30), shown("a" * 100)[-8:], shown("it\\n")
    ('1000000000000000000000000000000', "aaaa...'", "'it\\\\n'")
    """
    if isinstance(value, str):
        start = value[: 2 * WIDTH]
        plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)
        return f"'{plain if len(plain) <= WIDTH else plain[: WIDTH - 3] + '...'}'"
    try:
        text = repr(value)
    except ValueError:  # more digits than Python shows
        text = "a number of too many digits"
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
