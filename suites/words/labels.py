"""Labels made safe for terminals, figures and spreadsheets: names of models, strategies and contenders, and reasons."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

LONGEST = 60
"""Greatest number of characters of a label in a figure."""
FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Start of a text that spreadsheets take for a formula, or that ``spreadsheet_safe`` has changed."""
_TURNS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Characters that change the direction of the text after them."""


def plain(text: str) -> str:
    r"""Escape the characters that would control a terminal or break a line, and lone surrogates.

    >>> plain("a\x1b[2J b\n\udcff é")
    'a\\x1b[2J b\\n\\udcff é'
    """
    if text.isprintable():
        return text
    return "".join(char.encode("unicode_escape").decode() if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or ord(char) in _TURNS


def short(text: str, most: int = LONGEST) -> str:
    """Shorten a text to at most ``most`` characters by cutting its middle, since labels tend to differ at their ends.

    >>> short("abcdefghij", 6)
    'abc…ij'
    """
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


def short_of_end(text: str, most: int) -> str:
    """Shorten a text to at most ``most`` characters by cutting its end.

    >>> short_of_end("abcdefghij", 6), short_of_end("abc", 6)
    ('abcde…', 'abc')
    """
    return text if len(text) <= most else f"{text[: max(most - 1, 0)]}…"


def shortened(texts: list[str], most: int = LONGEST) -> list[str]:
    """Shorten each text by ``short``; number those that different texts would otherwise share.

    >>> shortened(["aaaaaaXaaaa", "aaaaaaYaaaa", "b"], 6)
    ['aaa…aa', 'aaa…aa (2)', 'b']
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for text in dict.fromkeys(texts):
        name, number = short(text, most), 2
        while name in taken:
            name, number = f"{short(text, most)} ({number})", number + 1
        taken.add(name)
        found[text] = name
    return [found[text] for text in texts]


def spreadsheet_safe(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula, so that it is shown as it stands.

    >>> spreadsheet_safe("=1+1"), spreadsheet_safe("a=1"), spreadsheet_safe("'=1")
    ("'=1+1", 'a=1', "''=1")
    """
    return f"'{text}" if FORMULA.match(text) else text


def as_written(text: str) -> str:
    """Undo ``spreadsheet_safe``.

    >>> [as_written(spreadsheet_safe(text)) for text in ("=1+1", "'=1", "'quoted'")]
    ['=1+1', "'=1", "'quoted'"]
    """
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def is_file_name(text: str) -> bool:
    r"""Whether a text is the name of one file within a folder, and no path to any other place.

    >>> [is_file_name(text) for text in ("a_b8", "../x", "/abs", "..", "", "a\\b", "a\x00b")]
    [True, False, False, False, False, False, False]
    """
    within = text.isprintable() and re.search(r"[/\\]", text) is None and text not in ("", ".", "..")
    return within and len(text.encode(errors="replace")) < 256


def listed(names: Sequence[str]) -> str:
    """Join names in words.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
