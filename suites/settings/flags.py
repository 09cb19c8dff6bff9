"""The flags of the verb ``run``, which Hydra carries out: which flags there are and which go together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .config import ConfigError
from .rules import shown

MULTIRUN, CFG, INFO, PACKAGE = ("-m", "--multirun"), ("-c", "--cfg"), ("-i", "--info"), ("-p", "--package")
WORDS = {
    **dict.fromkeys(CFG, ("job", "hydra", "all")),
    **dict.fromkeys(INFO, ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
}
"""Words that may follow a flag. A flag of CFG needs one, a flag of INFO does not."""
SHOWING = (*CFG, *INFO, "--hydra-help")
BESIDE_CFG = (*PACKAGE, "--resolve")


def split(given: Sequence[str]) -> tuple[list[str], list[str], str]:
    """Split arguments into (flags with their words, other arguments, the flag that only shows something or "").

    Raises ConfigError for flags that are unknown, lack their word or do not go together.
    """
    flags, others, rest = [], [], list(given)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            others.append(argument)
            continue
        if argument not in (*MULTIRUN, *SHOWING, *BESIDE_CFG):
            raise ConfigError(
                f"unknown flag '{shown(argument)}'; run takes KEY=VALUE, +sweep=NAME, --multirun, --cfg job and --info"
            )
        flags.append(argument)
        if _takes_word(argument, rest[0] if rest else ""):
            flags.append(rest.pop(0))
    return flags, others, _showing(flags)


def _takes_word(flag: str, then: str) -> bool:
    """Whether the argument ``then`` belongs to the flag before it.

    Raises ConfigError if the flag needs a word and ``then`` is none, or if ``then`` is a word that is not allowed.
    """
    if flag in PACKAGE:
        if not re.fullmatch(r"\w[\w.]*", then):
            raise ConfigError(f"{flag} is given no package; give {flag} NAME, such as measure")
        return True
    allowed = WORDS.get(flag, ())
    word = then if re.fullmatch(r"\w[\w-]*", then) else ""
    if allowed and word not in allowed and (word or flag in CFG):
        said = f"{flag} {shown(word)} is not allowed" if word else f"{flag} is given no word"
        raise ConfigError(f"{said}; give {flag} {', '.join(allowed)}")
    return word in allowed


def _showing(flags: Sequence[str]) -> str:
    """The flag that only shows something and ends, or "". Raises ConfigError for flags that do not go together."""
    showing = [flag for flag in flags if flag in SHOWING]
    if len(showing) > 1:
        raise ConfigError(f"{showing[0]} and {showing[1]} each show something and end; give one of them")
    alone = next((flag for flag in flags if flag in BESIDE_CFG), "")
    if alone and not set(showing) & set(CFG):
        raise ConfigError(f"{alone} is not allowed without --cfg job, which shows the configuration; leave it out")
    many = next((flag for flag in flags if flag in MULTIRUN), "")
    if many and showing:
        raise ConfigError(f"{many} is not allowed beside {showing[0]}, which runs nothing; leave it out")
    return "".join(showing)
