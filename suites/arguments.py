"""Flags of a verb beside its KEY=VALUE arguments: mistakes are told in one line, as everywhere."""

from __future__ import annotations

import argparse
from typing import NoReturn

from .config import ConfigError


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are ConfigError; flags are never guessed from their beginnings."""

    def __init__(self, verb: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"decodebench {verb}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._verb = verb

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError."""
        raise ConfigError(f"{self._verb}: {message}; see {self._verb} --help")


def positive(text: str) -> int:
    """A whole number of at least 1, for ``type=``."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; give a whole number of at least 1")
    return int(text)
