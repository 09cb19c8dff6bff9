"""Run folders: the folder that a verb writes its results to."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from collections.abc import Collection
from pathlib import Path

from ..settings.config import ConfigError

WRITTEN = {
    "run.json", "config.yaml", "environment.json", "multirun.yaml", "noise.json", "advice.txt", "report.html",
    "table.csv", "steps.csv", "roles.csv", "table.parquet", "steps.parquet", "roles.parquet", "cells", "plots",
    "ranges.csv", "operators.csv", "unprofiled.csv", "profile", "roofline.json", ".hydra", "decodebench.log",
    "contenders", "plan.jsonl", "locks", "again", "replaced", "jobs",
}  # fmt: skip
"""Names of the files and folders that ``run``, ``profile`` and ``roofline`` write."""
OF_THE_SYSTEM = ("lost+found", ".DS_Store")
"""Names that the operating system puts into a folder."""


def make_run_dir(
    asked: Path | None,
    name: str,
    flag: str = "hydra.run.dir=",
    beside: Collection[str] | None = None,
    resumed: str | None = None,
) -> Path:
    """Make the folder that was asked for, or a new results/<date>_<name>, and return its absolute path.

    ``flag`` is how a user gives the folder, up to its name; messages quote it. ``beside`` is for verbs that may write
    beside other files: the names that the verb writes, first the one by which its own folders are known. A run that has
    the file ``resumed`` can be gone on with, so its folder is returned.

    Raises ConfigError if the folder cannot be made, or if writing to it could destroy something. A folder that holds a
    run would lose its rounds. A folder that holds files which no run writes belongs to somebody. With ``beside``, a
    folder is refused only if it holds one of these names without the first of them.
    """
    try:
        if asked is not None:
            path = asked.resolve()  # a link may be set anew meanwhile
            if (path / "run.json").exists():
                if resumed and (path / resumed).exists():
                    return path
                raise ConfigError(f"{flag}{asked} holds a run that was measured; choose another folder, or remove it")
            if foreign := _foreign(path, beside):
                raise ConfigError(
                    f"{flag}{asked} holds {foreign}, which would be mixed with what is written; choose a new folder"
                )
            path.mkdir(parents=True, exist_ok=True)
            return path
        dated = f"{datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}_{name}"
        for again in itertools.count(1):
            path = Path("results").absolute() / (dated if again == 1 else f"{dated}_{again}")
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path
    except OSError as error:
        raise ConfigError(f"cannot make the run folder: {error}; choose another by {flag}DIR") from None
    raise AssertionError("unreachable")


def from_here(path: Path) -> Path:
    """Write a path relative to the current folder if it lies inside that folder; return it unchanged otherwise."""
    with contextlib.suppress(OSError, ValueError):
        return path.relative_to(Path.cwd())
    return path


def _foreign(folder: Path, beside: Collection[str] | None) -> str:
    """The first name in a folder for which the folder is refused (see ``make_run_dir``); "" where there is none."""
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    held = [name for name in held if name not in OF_THE_SYSTEM and not name.startswith(".nfs")]
    if beside is None:
        return next((name for name in held if name not in WRITTEN and not name.endswith(".part")), "")
    mark = next(iter(beside))
    return "" if mark in held else next((name for name in held if name in beside), "")
