"""Jobs as Hydra runs them: one cell per job, in whatever process Hydra's launcher chooses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from ..settings.config import register
from ..settings.own_package import CONF
from ..store.plan import read_plan
from .measure_cell import measure_cell

FULL_ERROR = "HYDRA_FULL_ERROR"


def run_job(config: Any) -> None:
    """Measure the cell of one job. It is the plan's entry of the job's number; nothing of ``config`` is read."""
    chosen = HydraConfig.get()
    sweep = chosen.mode == RunMode.MULTIRUN
    run_dir = Path(chosen.sweep.dir if sweep else chosen.run.dir)
    measure_cell(run_dir, read_plan(run_dir)[int(chosen.job.num) if sweep else 0]["id"])


def hand_over(arguments: list[str]) -> None:
    """Have Hydra read the arguments and call ``run_job`` for each job, or print what the arguments ask for."""
    register()
    sys.argv = ["decodebench run", *arguments]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(run_job)()


def launch(arguments: list[str]) -> None:
    """``hand_over`` to a launcher, which raises what it likes for a job that died.

    Hydra would print the traceback and end this process, unless a variable of the environment says otherwise.
    """
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        hand_over(arguments)
    finally:
        del os.environ[FULL_ERROR]
        if before is not None:
            os.environ[FULL_ERROR] = before
