"""Jobs as Hydra runs them: the cells of one configuration per job, in whatever process Hydra's launcher chooses."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode

from ..settings.config import ConfigError, register
from ..settings.overrides import one_line
from ..settings.own_package import CONF
from ..store.plan import ids_of_job
from .measure_cell import measure_cell

FULL_ERROR = "HYDRA_FULL_ERROR"


class Jobs:
    """The function that Hydra calls for each job: it measures those of the job's cells that are ``left``."""

    def __init__(self, left: Collection[str] = ()) -> None:
        self._left = frozenset(left)

    def __call__(self, config: Any) -> None:
        """Measure the plan's cells of the job's number; nothing of ``config`` is read."""
        chosen = HydraConfig.get()
        sweep = chosen.mode == RunMode.MULTIRUN
        run_dir = Path(chosen.sweep.dir if sweep else chosen.run.dir)
        for cell_id in ids_of_job(run_dir, int(chosen.job.num) if sweep else 0):
            if cell_id in self._left:
                measure_cell(run_dir, cell_id)


def hand_over(arguments: list[str], jobs: Jobs) -> None:
    """Have Hydra read the arguments and call ``jobs`` for each job, or print what the arguments ask for."""
    register()
    sys.argv = ["decodebench run", *arguments]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(jobs)()


def launch(arguments: list[str], left: Collection[str]) -> None:
    """``hand_over`` the cells ``left`` to a launcher, which raises what it likes for a job that died.

    Raises ConfigError where the launcher is not installed.

    Hydra would print the traceback and end this process, unless a variable of the environment says otherwise.
    """
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        hand_over(arguments, Jobs(left))
    except HydraException as error:  # some of these are errors of the operating system, too
        raise ConfigError(one_line(error)) from None
    finally:
        del os.environ[FULL_ERROR]
        if before is not None:
            os.environ[FULL_ERROR] = before
