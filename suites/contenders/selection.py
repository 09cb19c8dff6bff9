"""Contenders as a run names them: a name, and with it the number of threads if that is not the cell's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..settings.catalog import did_you_mean
from ..settings.config import ConfigError
from ..settings.rules import shown
from .contender import Contender, registry

BEST: Final = "best"
MOST_THREADS = 1024


@dataclass(frozen=True)
class Selected:
    """A contender, and its threads: a number, or "best", the number with which it is fastest; None is the cell's."""

    name: str
    threads: int | Literal["best"] | None = None

    @property
    def label(self) -> str:
        """How tables name it.

        >>> Selected("mine").label, Selected("mine", "best").label
        ('mine', 'mine(threads=best)')
        """
        return self.name if self.threads is None else f"{self.name}(threads={self.threads})"

    @property
    def contender(self) -> type[Contender]:
        """Its class."""
        return registry()[self.name]


def selected(text: str) -> Selected:
    """Read a name, or name(threads=N) or name(threads=best). Raises ConfigError.

    >>> selected("openvino_int8( threads=04 )").label
    'openvino_int8(threads=4)'
    """
    known = registry()
    match = re.fullmatch(r"\s*([^\s()]+)\s*(?:\((.*)\))?\s*", text)
    name, options = match.groups() if match else (text, None)
    if name not in known:
        raise ConfigError(f"unknown contender '{shown(name)}'; {did_you_mean(name, known)}known: {', '.join(known)}")
    if options is None or not options.strip():
        return Selected(name)
    key, _, value = (part.strip() for part in options.partition("="))
    if key != "threads":
        raise ConfigError(
            f"'{shown(text)}' is not allowed; the only option of a contender is threads, such as {name}(threads=best)"
        )
    if value == BEST:
        return Selected(name, BEST)
    if not re.fullmatch(r"0*[1-9]\d{0,3}", value, re.ASCII) or int(value) > MOST_THREADS:
        raise ConfigError(
            f"{name}: threads={shown(value)} is not allowed; give a whole number from 1 to {MOST_THREADS}, or best"
        )
    return Selected(name, int(value))


def select_contenders(chosen: Any) -> list[str]:
    """Return labels from ``all``, one name, or a list of names, each once. Raises ConfigError for an unknown name.

    >>> select_contenders(["transformers_dynamic", "transformers_dynamic", "transformers_dynamic(threads=best)"])
    ['transformers_dynamic', 'transformers_dynamic(threads=best)']
    """
    if isinstance(chosen, str):
        chosen = list(registry()) if chosen == "all" else [chosen]
    if not isinstance(chosen, Sequence) or not all(isinstance(name, str) for name in chosen):
        raise ConfigError(
            f"contenders={shown(chosen)} is not allowed; give all, or a list such as [transformers_dynamic]"
        )
    return list(dict.fromkeys(selected(text).label for text in chosen))
