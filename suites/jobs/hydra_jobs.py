"""Jobs as Hydra runs them: one cell per job, in whatever process Hydra's launcher chooses."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from ..contenders import select_contenders
from ..settings.cells import make_cell
from ..settings.config import register
from ..settings.overrides import name_model, typed
from ..settings.own_package import CONF
from ..store.files import write_text
from ..words.progress import Progress
from ..work.planning import effort
from .cell_job import CellJob
from .cells import Cells
from .planned import arms_of


class Jobs:
    """The function that Hydra calls once per job. Errors become rows, so that the sweep goes on.

    ``broken``: errors of the operating system in a job of this process; they end the run.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.broken: list[OSError] = []
        self._progress = progress
        self._cells = Cells()

    def close(self) -> None:
        """End the process that measured the last cells, if it is not this one."""
        self._cells.close()

    def __getstate__(self) -> dict[str, Any]:
        """State for another process: it knows no more than one job, so each job has a progress bar of its own there."""
        return {"broken": [], "_progress": None, "_cells": Cells()}

    def __call__(self, config: Any) -> None:
        """Measure the cell of one job."""
        if self.broken:  # the folder cannot be written, so measuring further cells is useless
            return
        chosen = HydraConfig.get()
        run_dir = Path(chosen.sweep.dir if chosen.mode == RunMode.MULTIRUN else chosen.run.dir)
        settings = name_model(typed(config), chosen.overrides.task)
        cell, strategies = make_cell(settings), arms_of(settings)
        job = CellJob(cell, strategies, select_contenders(settings.contenders), settings.measure, run_dir)
        try:
            if self._progress is not None:
                self._cells.run(job, self._progress)
            else:
                work = effort(cell, strategies, settings.measure, len(job.contenders)).work
                with Progress(work, 1) as progress, contextlib.closing(self._cells):
                    self._cells.run(job, progress)
            write_text(run_dir / "cells" / cell.id / "config.yaml", OmegaConf.to_yaml(config))
        except OSError as error:  # Hydra would print a traceback and end the process
            if self._progress is None:
                raise
            self.broken.append(error)


def hand_over(arguments: list[str], jobs: Jobs) -> None:
    """Have Hydra read the arguments and call ``jobs`` for each job, or print what the arguments ask for."""
    register()
    sys.argv = ["decodebench run", *arguments]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(jobs)()
