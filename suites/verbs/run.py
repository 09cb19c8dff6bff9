"""The verb ``run``: one case, or a sweep by Hydra's multirun; then tables, plots and a closing summary.

The order is: read overrides, compose every job's configuration and refuse mistakes at once, write the plan, let Hydra
run the jobs (one a cell), collect what they wrote.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..settings.config import ConfigError, RunConfig
from ..settings.overrides import Job, Overrides, compose_jobs, read_overrides
from ..settings.own import CONF
from ..settings.quoting import quoted
from ..store.files import write_json, write_text
from ..store.folders import make_run_dir
from ..store.schema import SCHEMA

if TYPE_CHECKING:
    from strategies import Strategy
    from strategies.strategy import Execution

    from ..settings.cells import Cell

JSON = "--json"
_broken: list[OSError] = []
"""What the operating system refused to a job of this process; it ends the run."""
_progress: Any = None
"""The sweep's progress bar; jobs that a launcher starts in other processes have none and count for themselves."""


def main(arguments: list[str]) -> int:
    """Run; 0 if every case was measured or skipped, 1 otherwise. With --json standard output gets data alone."""
    if {"-h", "--help"} & set(arguments):
        from .help import run_help

        print(run_help(), end="")
        return 0
    overrides = read_overrides([argument for argument in arguments if argument != JSON])
    if overrides.show_only:
        if JSON in arguments:
            raise ConfigError(f"{JSON} is not allowed where nothing is run; leave it out")
        if overrides.typed:
            compose_jobs(overrides)
        return _show(overrides.arguments)
    jobs = compose_jobs(overrides)
    if JSON not in arguments:
        return measure_jobs(overrides, jobs)[1]
    with contextlib.redirect_stdout(sys.stderr):
        run_dir, code = measure_jobs(overrides, jobs)
    from .run_json import as_json

    print(as_json(run_dir))
    return code


def _show(arguments: list[str]) -> int:
    """What Hydra prints is kept and printed afterwards: of output that is refused it would make a traceback."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            return _hydra(arguments)
    finally:
        if told.getvalue():
            print(told.getvalue(), end="")


def measure_jobs(overrides: Overrides, jobs: list[Job]) -> tuple[Path, int]:
    """Measure; (the run folder, 0 if every case was measured or skipped, else 1)."""
    from ..contenders import select_contenders
    from ..machine.environment import environment
    from ..settings.cells import make_cell
    from ..settings.obstacles import obstacle
    from ..telling.beforehand import told
    from ..words.progress import Progress
    from ..words.quantity import quantity
    from ..work.planning import effort
    from .collect import collect

    cells = [make_cell(job.config) for job in jobs]
    seen: dict[str, Cell] = {}
    for twin in cells:
        first = seen.setdefault(twin.id, twin)
        if first is twin:
            continue
        if first.model != twin.model:
            raise ConfigError(
                f"model.checkpoint={first.model.checkpoint} and {twin.model.checkpoint} hold the same model, of which "
                f"two jobs would measure the same case ({twin.title}); leave one out"
            )
        raise ConfigError(
            f"two jobs of this sweep would measure the same case ({twin.title}); sweep what a case consists of, "
            "and write several strategies, or contenders, as a list: strategies=[static_kv,contiguous_kv]"
        )
    arms = [(arms_of(job.config), select_contenders(job.config.contenders)) for job in jobs]
    for strategies, contenders in arms:
        if clash := next((s.label for s in strategies if s.label in contenders), ""):
            raise ConfigError(f"a strategy calls itself {clash}, as a contender of this run is called; leave one out")
    obstacles = [obstacle(cell, *chosen) for cell, chosen in zip(cells, arms, strict=True)]
    if all(obstacles):
        more = f" (and none of the other {len(jobs) - 1} cases can run)" if len(jobs) > 1 else ""
        raise ConfigError(obstacles[0] + more)
    efforts = [
        effort(cell, strategies, job.config.measure, len(contenders))
        for cell, job, (strategies, contenders) in zip(cells, jobs, arms, strict=True)
    ]
    run_dir = make_run_dir(overrides.run_dir, overrides.sweep or ("single" if len(jobs) == 1 else "sweep"))
    count = f"{len(cells)} {'case' if len(cells) == 1 else 'cases'}"
    print(f"{count}, {quantity(sum(e.flops for e in efforts), 'FLOPs')} predicted", file=sys.stderr)
    for line in told(job.config for job in jobs):
        print(line, file=sys.stderr)
    plan = [
        {"id": cell.id, "overrides": job.overrides, "predicted_work": e.work}
        for cell, job, e in zip(cells, jobs, efforts, strict=True)
    ]
    write_json(
        run_dir / "run.json",
        {
            "schema": SCHEMA,
            "command": shlex.join(["python", "-m", "suites", "run", *overrides.given]),
            "sweep": overrides.sweep,
            "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "plan": plan,
        },
    )
    write_text(run_dir / "config.yaml", jobs[0].yaml)
    write_json(run_dir / "environment.json", environment())
    global _progress
    _broken.clear()
    folder = quoted(str(run_dir))
    try:
        with Progress(sum(e.work for e in efforts), len(cells)) as _progress:
            _hydra([*overrides.arguments, f"hydra.sweep.dir={folder}", f"hydra.run.dir={folder}"])
    except KeyboardInterrupt:
        collect(run_dir, plots=jobs[0].config.plots, report=jobs[0].config.report)
        raise
    if _broken:
        with contextlib.suppress(OSError):  # what can still be said of the cells before
            collect(run_dir, plots=False, report=False)
        raise _broken[0]
    return run_dir, collect(run_dir, plots=jobs[0].config.plots, report=jobs[0].config.report)


def arms_of(config: RunConfig) -> list[Strategy]:
    """The strategies of a job, with those that are tried in another execution besides.

    Raises StrategyError.
    """
    from strategies import select, with_execution

    return with_execution(select(config.strategies), cast("Execution", config.execution))


def _hydra(arguments: list[str]) -> int:
    """Hand over to Hydra, which calls ``_job`` once for each job."""
    import hydra

    from ..settings.config import register

    register()
    sys.argv = ["decodebench run", *arguments]
    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(_job)()
    return 0


def _job(config: Any) -> None:
    """One cell, in whatever process the launcher chose. Errors become rows, so that the sweep goes on."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from ..contenders import select_contenders
    from ..contenders.running.lineup import Contenders
    from ..measuring.runner import run_cell
    from ..settings.cells import make_cell
    from ..settings.overrides import name_model, typed
    from ..words.progress import Progress
    from ..work.planning import effort

    if _broken:  # a folder that cannot be written holds no further cell
        return
    hydra = HydraConfig.get()
    run_dir = Path(hydra.sweep.dir if hydra.mode == RunMode.MULTIRUN else hydra.run.dir)
    settings = name_model(typed(config), hydra.overrides.task)
    cell, strategies = make_cell(settings), arms_of(settings)
    contenders = Contenders(select_contenders(settings.contenders))
    try:
        if _progress is not None:
            run_cell(cell, strategies, settings.measure, run_dir, _progress, contenders)
        else:
            with Progress(effort(cell, strategies, settings.measure, len(contenders.names)).work, 1) as progress:
                run_cell(cell, strategies, settings.measure, run_dir, progress, contenders)
        write_text(run_dir / "cells" / cell.id / "config.yaml", OmegaConf.to_yaml(config))
    except OSError as error:  # Hydra would print a traceback, and end the process
        if _progress is None:
            raise
        _broken.append(error)
