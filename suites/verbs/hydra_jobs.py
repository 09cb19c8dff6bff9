"""Jobs as Hydra runs them: one cell per job, in whatever process Hydra's launcher chooses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from ..contenders import select_contenders
from ..contenders.running.lineup import Contenders
from ..measuring.runner import run_cell
from ..settings.cells import make_cell
from ..settings.config import register
from ..settings.overrides import name_model, typed
from ..settings.own_package import CONF
from ..store.files import write_text
from ..words.progress import Progress
from ..work.planning import effort
from .planned import arms_of


class Jobs:
    """The function that Hydra calls once per job. Errors become rows, so that the sweep goes on.

    ``broken``: errors of the operating system in a job of this process; they end the run.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.broken: list[OSError] = []
        self._progress = progress

    def __getstate__(self) -> dict[str, Any]:
        """State for another process, which has no progress bar of the whole sweep: each job there has its own."""
        return {"broken": [], "_progress": None}

    def __call__(self, config: Any) -> None:
        """Measure the cell of one job."""
        if self.broken:  # the folder cannot be written, so measuring further cells is useless
            return
        chosen = HydraConfig.get()
        run_dir = Path(chosen.sweep.dir if chosen.mode == RunMode.MULTIRUN else chosen.run.dir)
        settings = name_model(typed(config), chosen.overrides.task)
        cell, strategies = make_cell(settings), arms_of(settings)
        children = Contenders(select_contenders(settings.contenders))
        try:
            if self._progress is not None:
                run_cell(cell, strategies, settings.measure, run_dir, self._progress, children)
            else:
                with Progress(effort(cell, strategies, settings.measure, len(children.names)).work, 1) as progress:
                    run_cell(cell, strategies, settings.measure, run_dir, progress, children)
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
