"""A value for a message."""

from __future__ import annotations

WIDTH = 60


def shown(value: object) -> str:
    """Its repr on one line, cut where it is long.

    >>> shown(10**30), shown("a" * 100)[-8:], len(shown("a" * 100))
    ('1000000000000000000000000000000', "aaaa...'", 60)
    """
    if isinstance(value, str) and len(value) > WIDTH - 2:
        value = value[: WIDTH - 5] + "..."
    try:
        text = repr(value)
    except ValueError:  # more digits than Python shows
        text = "a number of too many digits"
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
