"""Rules for the values of keys: type and range, and how a message words them. This module does not import torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from strategies.models.message_text import plain

MOST = 2**31 - 1
"""Largest whole number that any key but the seed may have: larger sizes overflow 32-bit indices."""
FLAGS = ("true", "false", "yes", "no", "y", "n", "on", "off", "1", "0")


@dataclass(frozen=True)
class Rule:
    """Which values a key may have.

    ``told`` words what is allowed, to follow "give" in a message. ``holds`` says whether a value other than null is
    allowed, ``optional`` whether null is. ``most`` is the largest whole number allowed; a message about a larger one
    names it instead of ``told``.
    """

    told: str
    holds: Callable[[Any], bool]
    optional: bool = False
    most: int | None = None

    def admits(self, value: Any) -> bool:
        """Whether the key may have this value."""
        return self.optional if value is None else self.holds(value)

    def refusal(self, key: str, text: str) -> str:
        """Message of one line: the key, the value as it was typed, what is allowed.

        >>> whole(1, 1024, optional=True).refusal("threads", "0")
        'threads=0 is not allowed; give a whole number of at least 1, or null'
        >>> whole(1, 1024, optional=True).refusal("threads", "2000")
        'threads=2000 is not allowed; give at most 1024, or null'
        """
        digits = text.lstrip("0") if re.fullmatch("[0-9]+", text) else ""
        beyond = self.most is not None and (len(digits), digits) > (len(str(self.most)), str(self.most))
        told = f"at most {self.most}" if beyond else self.told
        return f"{key}={shown(text)} is not allowed; give {told}{', or null' if self.optional else ''}"


def whole(least: int, most: int = MOST, *, optional: bool = False, why: str = "") -> Rule:
    """Rule for whole numbers from ``least`` to ``most``. Text of digits passes too: Hydra turns it into a number."""

    def holds(value: Any) -> bool:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value):
            value = int(value)
        return type(value) is int and least <= value <= most

    return Rule(f"a whole number of at least {least}{why}", holds, optional, most)


def number(told: str, above: float, most: float, *, optional: bool = False) -> Rule:
    """Rule for finite numbers greater than ``above`` and at most ``most``."""

    def holds(value: Any) -> bool:
        try:
            found = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            return False
        return math.isfinite(found) and above < found <= most

    return Rule(told, holds, optional)


def share(*, optional: bool = False) -> Rule:
    """Rule for numbers between 0 and 1, both excluded."""
    return number("a share between 0 and 1, such as 0.02", 0, math.nextafter(1, 0), optional=optional)


def one_of(names: Iterable[str], *, optional: bool = False, also: Iterable[str] = ()) -> Rule:
    """Rule for one of ``names``; the words of ``also`` are allowed too, but messages do not mention them."""
    known = tuple(names)
    every = {*known, *also}
    return Rule(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in every, optional)


def flag(*, optional: bool = False) -> Rule:
    """Rule for truth values, in the spellings that Hydra knows."""
    return Rule("true or false", lambda value: str(value).lower() in FLAGS, optional)


def text(told: str, *, optional: bool = False) -> Rule:
    """Rule for text that is not empty."""
    return Rule(told, lambda value: isinstance(value, str) and value.strip() != "", optional)


def names(told: str, *types: type) -> Rule:
    """Rule for a name, a list, or a value of one of ``types``. Whether the names exist is checked elsewhere."""
    return Rule(told, lambda value: isinstance(value, (str, list, *types)) and value != "")


def shown(value: Any) -> str:
    """Write a value for a message: as one types it, on one line, and cut if it is long.

    >>> shown(None), shown(True), shown("two\\nlines"), len(shown("x" * 1000))
    ('null', 'true', 'two\\\\nlines', 60)
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return plain(str(value))
