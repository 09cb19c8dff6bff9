"""The verb ``run``: measure one cell, or a sweep by Hydra's multirun; then tables, plots and a closing summary.

It reads overrides, composes the configuration of every job so that mistakes are refused at once, writes the plan, lets
Hydra run the jobs (one per cell), and collects what they wrote.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings.config import ConfigError
from ..settings.overrides import Job, Overrides, compose_jobs, read_overrides
from ..settings.quoting import quoted
from ..store.files import write_json, write_text
from ..store.folders import make_run_dir
from ..store.schema import SCHEMA

if TYPE_CHECKING:
    from ..jobs.planned import Planned

JSON, LEGEND = "--json", "--legend"


def main(arguments: list[str]) -> int:
    """Run. Returns 0 if every case was measured or skipped, else 1. With --json, standard output gets data alone."""
    if {"-h", "--help"} & set(arguments):
        from .help import run_help, topics_of

        print(run_help(topics_of(arguments)), end="")
        return 0
    if LEGEND in arguments:
        if arguments != [LEGEND]:
            raise ConfigError(f"{LEGEND} explains the closing table and runs nothing; give it alone")
        from ..telling.legend import legend
        from ..words.paragraphs import filled

        print(filled(legend()))
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
    """Have Hydra print what was asked for.

    Its output is kept and printed afterwards: Hydra turns a closed standard output into a traceback.
    """
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            from ..jobs.hydra_jobs import Jobs, hand_over

            hand_over(arguments, Jobs())
            return 0
    finally:
        if told.getvalue():
            print(told.getvalue(), end="")


def measure_jobs(overrides: Overrides, jobs: list[Job]) -> tuple[Path, int]:
    """Measure all jobs. Returns (the run folder, 0 if every case was measured or skipped, else 1)."""
    from ..jobs.hydra_jobs import Jobs, hand_over
    from ..jobs.planned import planned
    from ..telling.beforehand import told
    from ..words.progress import Progress
    from ..words.quantity import quantity
    from .collect import collect

    plan = planned(jobs)
    run_dir = make_run_dir(overrides.run_dir, overrides.sweep or ("single" if len(jobs) == 1 else "sweep"))
    count = f"{len(plan)} {'cell' if len(plan) == 1 else 'cells'}"
    print(f"{count}, {quantity(sum(one.effort.flops for one in plan), 'FLOPs')} predicted", file=sys.stderr)
    for line in told(job.config for job in jobs):
        print(line, file=sys.stderr)
    _write_plan(run_dir, overrides, plan)
    folder, first = quoted(str(run_dir)), jobs[0].config
    try:
        work = sum(one.effort.work for one in plan)
        with Progress(work, len(plan)) as progress, contextlib.closing(Jobs(progress)) as running:
            hand_over([*overrides.arguments, f"hydra.sweep.dir={folder}", f"hydra.run.dir={folder}"], running)
    except KeyboardInterrupt:
        collect(run_dir, plots=first.plots, report=first.report)
        raise
    if running.broken:
        with contextlib.suppress(OSError):  # what can still be said about the cells before
            collect(run_dir, plots=False, report=False)
        raise running.broken[0]
    return run_dir, collect(run_dir, plots=first.plots, report=first.report)


def _write_plan(run_dir: Path, overrides: Overrides, plan: Sequence[Planned]) -> None:
    """Write run.json, config.yaml and environment.json, before anything runs."""
    from ..machine.environment import environment

    write_json(
        run_dir / "run.json",
        {
            "schema": SCHEMA,
            "command": shlex.join(["python", "-m", "suites", "run", *overrides.given]),
            "sweep": overrides.sweep,
            "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "plan": [one.written() for one in plan],
        },
    )
    write_text(run_dir / "config.yaml", plan[0].job.yaml)
    write_json(run_dir / "environment.json", environment())
