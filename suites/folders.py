"""Run folders: where a verb writes what it found."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from pathlib import Path

from .config import ConfigError


def make_run_dir(asked: Path | None, name: str, flag: str = "hydra.run.dir=") -> Path:
    """The folder that was asked for, or a new results/<date>_<name>. Raises ConfigError where it cannot be made.

    A folder that holds a run is refused: its rounds would be lost. ``flag``: how a folder is asked for, up to its name.
    """
    try:
        if asked is not None:
            if (asked / "run.json").exists():
                raise ConfigError(f"{flag}{asked} holds a run that was measured; choose another folder, or remove it")
            asked.mkdir(parents=True, exist_ok=True)
            return asked
        dated = f"{datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}_{name}"
        for again in itertools.count(1):
            path = Path("results") / (dated if again == 1 else f"{dated}_{again}")
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path
    except OSError as error:
        raise ConfigError(f"cannot make the run folder: {error}; choose another by {flag}DIR") from None
    raise AssertionError("unreachable")
