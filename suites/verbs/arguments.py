"""Flags of a verb beside its KEY=VALUE arguments; a mistake in them is one line, as everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from ..settings.config import MAX_LENGTH, ConfigError
from ..settings.rules import shown, whole
from ..words.paragraphs import filled


class Parser(argparse.ArgumentParser):
    """A parser that raises ConfigError for mistakes. It accepts no abbreviated flags."""

    def __init__(self, verb: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"decodebench {verb}",
            description=filled(description),
            epilog=filled(epilog),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._verb = verb

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError with the verb's name and where to read more."""
        raise ConfigError(f"{self._verb}: {message}; see {self._verb} --help")


def positive(text: str) -> int:
    """Read a whole number of at least 1, for ``type=``."""
    if not (rule := whole(1, MAX_LENGTH)).admits(text):
        raise argparse.ArgumentTypeError(rule.refusal("", text).removeprefix("="))
    return int(text)


def folder(text: str) -> Path:
    """Read a folder to write to, for ``type=``."""
    if not text.strip():
        raise argparse.ArgumentTypeError("'' is not allowed; give a folder")
    return Path(text)


def margin(text: str) -> float:
    """Read a share between 0 and 1, written as 0.05 or as 5%, for ``type=``.

    >>> margin("5%"), margin("0.05")
    (0.05, 0.05)
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not allowed; give a share between 0 and 1 such as 0.05, or a percentage such as 5%"
        )
    return value
