"""The flags of ``run``, all of which Hydra answers: which there are, and which go together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .config import ConfigError
from .rules import shown

MULTIRUN = ("-m", "--multirun")
VALUES = {
    "-c": ("job", "hydra", "all"),
    "--cfg": ("job", "hydra", "all"),
    "-i": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
WITH_CFG = ("-p", "--package", "--resolve")
SHOWING = (*VALUES, "--hydra-help")


def split(given: Sequence[str]) -> tuple[list[str], list[str], str]:
    """(flags with their words, the other arguments, the flag that only shows something or "").

    Raises ConfigError for flags that are unknown, lack their word or do not go together.
    """
    flags, others = [], []
    rest = list(given)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            others.append(argument)
            continue
        if argument not in (*MULTIRUN, *SHOWING, *WITH_CFG):
            raise ConfigError(
                f"unknown flag '{shown(argument)}'; run takes KEY=VALUE, +sweep=NAME, --multirun, --cfg job and --info"
            )
        flags.append(argument)
        if argument in VALUES:
            word = rest[0] if rest and re.fullmatch(r"[\w-]+", rest[0]) and not rest[0].startswith("-") else ""
            if word in VALUES[argument]:
                flags.append(rest.pop(0))
            elif word or VALUES[argument] == VALUES["--cfg"]:
                said = f"{argument} {shown(word)} is not allowed" if word else f"{argument} is given no word"
                raise ConfigError(f"{said}; give {argument} {', '.join(VALUES[argument])}")
        elif argument in WITH_CFG[:2]:
            if not rest or not re.fullmatch(r"\w[\w.]*", rest[0]):
                raise ConfigError(f"{argument} is given no package; give {argument} NAME, such as measure")
            flags.append(rest.pop(0))
    showing = [flag for flag in flags if flag in SHOWING]
    if len(showing) > 1:
        raise ConfigError(f"{showing[0]} and {showing[1]} each show something and end; give one of them")
    if alone := next((flag for flag in flags if flag in WITH_CFG), ""):
        if not showing or VALUES.get(showing[0]) != VALUES["--cfg"]:
            raise ConfigError(f"{alone} is not allowed without --cfg job, which shows the configuration; leave it out")
    if showing and (many := next((flag for flag in flags if flag in MULTIRUN), "")):
        raise ConfigError(f"{many} is not allowed beside {showing[0]}, which runs nothing; leave it out")
    return flags, others, next(iter(showing), "")
