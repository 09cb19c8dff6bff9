"""What the value of a key may be: its type and range, and how people are told of them. No torch here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from strategies.models.shown import plain

MOST = 2**31 - 1
"""The largest whole number of any key but the seed: sizes beyond it overflow 32-bit indices."""
FLAGS = ("true", "false", "yes", "no", "y", "n", "on", "off", "1", "0")


@dataclass(frozen=True)
class Rule:
    """``told``: what is allowed, after "give"; ``holds``: whether a value that is not null is allowed.

    ``most`` is told of instead where a whole number is above it.
    """

    told: str
    holds: Callable[[Any], bool]
    optional: bool = False
    most: int | None = None

    def admits(self, value: Any) -> bool:
        """Whether a key may have this value."""
        return self.optional if value is None else self.holds(value)

    def refusal(self, key: str, text: str) -> str:
        """One line: the key, the value as people wrote it, what is allowed.

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
    """Whole numbers; also as quoted text, which Hydra turns into a number."""

    def holds(value: Any) -> bool:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value):
            value = int(value)
        return type(value) is int and least <= value <= most

    return Rule(f"a whole number of at least {least}{why}", holds, optional, most)


def number(told: str, above: float, most: float, *, optional: bool = False) -> Rule:
    """Finite numbers above one and not above another."""

    def holds(value: Any) -> bool:
        try:
            found = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            return False
        return math.isfinite(found) and above < found <= most

    return Rule(told, holds, optional)


def share(*, optional: bool = False) -> Rule:
    """Numbers between 0 and 1, both left out."""
    return number("a share between 0 and 1, such as 0.02", 0, math.nextafter(1, 0), optional=optional)


def one_of(names: Iterable[str], *, optional: bool = False, also: Iterable[str] = ()) -> Rule:
    """Words of a list; those of ``also`` are allowed and not told of."""
    known = tuple(names)
    every = {*known, *also}
    return Rule(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in every, optional)


def flag() -> Rule:
    """Truth values, in the spellings that Hydra knows."""
    return Rule("true or false", lambda value: str(value).lower() in FLAGS)


def text(told: str, *, optional: bool = False) -> Rule:
    """Text that is not empty."""
    return Rule(told, lambda value: isinstance(value, str) and value.strip() != "", optional)


def names(told: str, *types: type) -> Rule:
    """A name, or a list, or one of ``types``; what they name is looked up by whoever owns the names."""
    return Rule(told, lambda value: isinstance(value, (str, list, *types)) and value != "")


def shown(value: Any) -> str:
    """A value for a message: as it is typed, on one line, and cut where it is long.

    >>> shown(None), shown(True), shown("two\\nlines"), len(shown("x" * 1000))
    ('null', 'true', 'two\\\\nlines', 60)
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return plain(str(value))
