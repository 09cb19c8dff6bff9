"""The flags of the verb ``run`` that are its own, and not Hydra's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..settings.config import ConfigError
from ..settings.rules import shown


@dataclass(frozen=True)
class RunFlags:
    """Flags of ``run``. ``given`` holds those that were given, as they were typed.

    ``json``: standard output gets data alone. ``resume``: the run folder to go on with. ``retry_failed``: cells are
    measured again however often they failed. ``force``: also where software or machine differ from those of the cells
    that are measured. ``no_wait``: submit to the batch system, and end.
    """

    json: bool = False
    resume: Path | None = None
    retry_failed: bool = False
    force: bool = False
    no_wait: bool = False
    given: tuple[str, ...] = ()


RESUME, RETRY_FAILED, FORCE = "--resume", "--retry-failed", "--force"
FLAGS = {"--json": "json", RETRY_FAILED: "retry_failed", FORCE: "force", "--no-wait": "no_wait"}


def split_flags(arguments: Sequence[str]) -> tuple[RunFlags, list[str]]:
    """Split arguments into the flags of ``run`` and the rest. Raises ConfigError where --resume names no folder."""
    found: dict[str, bool] = {}
    given: list[str] = []
    resume: Path | None = None
    rest, left = [], list(arguments)
    while left:
        argument = left.pop(0)
        flag, equals, value = argument.partition("=")
        if flag == RESUME:
            value = value if equals else (left.pop(0) if left else "")
            if not value.strip() or value.startswith("-"):
                named = f", and {shown(value)} is none" if value else ""
                raise ConfigError(f"{RESUME} needs a folder{named}; give {RESUME} DIR, such as results/latest")
            given.append(RESUME)
            resume = Path(value).expanduser()
        elif argument in FLAGS:
            given.append(argument)
            found[FLAGS[argument]] = True
        else:
            rest.append(argument)
    return RunFlags(resume=resume, given=tuple(given), **found), rest
