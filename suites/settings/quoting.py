"""Quoting: how to write a value so that both the shell and Hydra read it as one text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from .rules import shown

PLAIN = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
NAMES = ("strategies", "contenders")


def quoted(text: str) -> str:
    r"""Quote a text for Hydra. A quote gets a backslash; backslashes are doubled only before a quote or at the end.

    >>> print(quoted("it's"), quoted("a\\b"), quoted("a\\"))
    'it\'s' 'a\b' 'a\\'
    """
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"


def typed(key: str, value: str) -> str:
    """Write KEY=VALUE for a shell, so that Hydra reads ``value`` as one text.

    In a list of strategies or contenders each name with options is quoted by itself.

    >>> print(typed("model.checkpoint", "~/t5"))
    "model.checkpoint='~/t5'"
    >>> print(typed("strategies", "[full_recompute,static_kv(capacity=512)]"))
    "strategies=[full_recompute,'static_kv(capacity=512)']"
    """
    if key in NAMES and (value.startswith("[") or len(outer_commas(value)) > 1):
        parts = outer_commas(value.removeprefix("[").removesuffix("]"))
        return for_shell(f"{key}=[{','.join(part if PLAIN.fullmatch(part) else quoted(part) for part in parts)}]")
    return for_shell(f"{key}={quoted(value)}")


def outer_commas(value: str) -> list[str]:
    """Split at commas outside parentheses; the parts come without quotes around them."""
    return [part.strip().strip("'\"") for part in re.split(r",(?![^()]*\))", value) if part.strip()]


def for_shell(argument: str) -> str:
    """Quote an argument for a shell: in double quotes where they suffice, since they are easier to read."""
    return shlex.quote(argument) if re.search(r'[$`"\\!]', argument) else f'"{argument}"'


def command_line(words: Iterable[str]) -> str:
    """Join words to a command that a shell reads as these words.

    >>> print(command_line(["run", "strategies=[a,'b(read=bucket)']", "dtype=[fp32]"]))
    run "strategies=[a,'b(read=bucket)']" 'dtype=[fp32]'
    """
    return " ".join(for_shell(word) if "'" in word else shlex.quote(word) for word in words)


def unreadable(argument: str, key: str, value: str) -> str:
    """Say what to do about an argument that Hydra cannot read.

    >>> unreadable("model.checkpoint=a(1)", "model.checkpoint", "a(1)")
    'cannot read model.checkpoint=a(1); quote the value: "model.checkpoint=\\'a(1)\\'"'
    """
    if len(value) > 200:
        return f"cannot read {shown(argument)}; put the value within quotes: \"{key}='...'\""
    return f"cannot read {shown(argument)}; quote the value: {typed(key, value)}"
