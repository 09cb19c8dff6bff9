"""A run from its plan to its summary, in a new folder or in one that holds a part of it."""

from __future__ import annotations

import contextlib
import datetime
import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from strategies import Mistake
from strategies.models.message_text import described

from ..jobs.dead import dead_of, write_dead
from ..jobs.devices import devices, measure_on_all, require_devices
from ..jobs.differences import differences
from ..jobs.hydra_jobs import launch
from ..jobs.local import measure_here
from ..jobs.planned import Planned, planned
from ..jobs.queue import job_ids, note_jobs, settle_ended, wait
from ..jobs.same_plan import difference
from ..jobs.slurm import require_slurm, submit
from ..jobs.states import Standing, standing
from ..machine.environment import environment
from ..machine.signals import handled, stop_if_requested
from ..settings.cluster import ALL, ClusterConfig
from ..settings.cluster_changed import changed
from ..settings.config import ConfigError
from ..settings.overrides import Job, Overrides, read_overrides
from ..settings.quoting import quoted
from ..settings.rules import shown
from ..store.entries import FrozenEntry
from ..store.files import exists, write_json, write_text
from ..store.folders import from_here, make_run_dir
from ..store.locks import locked, run_lock
from ..store.plan import read_plan, write_plan
from ..store.schema import SCHEMA, read_run_entry
from ..telling.beforehand import told
from ..words.quantity import quantity
from .collected import collect
from .run_flags import RESUME, RunFlags

BUSY = "{folder} is being run by {{holder}}; wait for its end, or choose another folder by hydra.run.dir=DIR"


@handled()
def measure_jobs(overrides: Overrides, jobs: list[Job], flags: RunFlags | None = None) -> tuple[Path, int]:
    """Measure all jobs. Returns (the run folder, 0 if every case was measured or skipped, else 1).

    A folder that was asked for and holds a run of the same plan is gone on with. Raises ConfigError if it holds another
    run, BusyError if another process runs it, and Stopped after a signal to stop, once tables, plots and summary are
    made of what there is.
    """
    flags, plan = flags or RunFlags(), planned(jobs)
    _require_place(jobs[0].config.cluster, [job.config.isolate for job in jobs])
    name = overrides.sweep or ("single" if len(jobs) == 1 else "sweep")
    run_dir = make_run_dir(overrides.run_dir, name, resumed="plan.jsonl")
    with locked(run_lock(run_dir), BUSY.format(folder=run_dir)):
        if exists(run_dir / "run.json"):
            if other := difference([one.frozen() for one in plan], read_plan(run_dir)):
                raise ConfigError(
                    f"hydra.run.dir={from_here(run_dir)} holds a run of another plan ({other}); choose another folder, "
                    f"or go on with that run: run {RESUME} {from_here(run_dir)}"
                )
        else:
            flops = quantity(sum(one.effort.flops for one in plan), "FLOPs")
            print(f"{_counted(len(plan))}, {flops} predicted", file=sys.stderr)
            for line in told(job.config for job in jobs):
                print(line, file=sys.stderr)
            _write_plan(run_dir, overrides, plan)
        return run_dir, _go_on(run_dir, overrides, flags, jobs[0].config.cluster)


@handled()
def resume(flags: RunFlags, rest: Sequence[str]) -> tuple[Path, int]:
    """Go on with the run of the folder ``flags.resume``; the same result as ``measure_jobs``."""
    assert flags.resume is not None
    for argument in rest:
        if not argument.lstrip("+").startswith(("cluster=", "cluster.")):
            raise ConfigError(f"{shown(argument)} has no effect beside {RESUME}, as the run has its plan; leave it out")
    run_dir = flags.resume.absolute()
    run, plan = read_run_entry(run_dir), read_plan(run_dir)
    cluster = changed(ClusterConfig(**run.get("cluster", {})), read_overrides([*rest]).typed)
    _require_place(cluster, [entry.get("isolate", "auto") for entry in plan])
    command = shlex.split(run.get("command", ""))
    overrides = read_overrides(command[command.index("run") + 1 :])
    with locked(run_lock(run_dir), BUSY.format(folder=run_dir)):
        return run_dir, _go_on(run_dir, overrides, flags, cluster)


def _require_place(cluster: ClusterConfig, isolates: Collection[str]) -> None:
    """Raise ConfigError if cells cannot be measured where they are meant to be. ``isolates``: how they are isolated."""
    if cluster.is_slurm:
        require_slurm()
    elif cluster.gpus == ALL:
        require_devices(isolates)


def _counted(cells: int) -> str:
    return f"{cells} {'cell' if cells == 1 else 'cells'}"


def _go_on(run_dir: Path, overrides: Overrides, flags: RunFlags, cluster: ClusterConfig) -> int:
    """Measure what is left of a run and collect it. Returns the exit code."""
    if flags.no_wait and not cluster.is_slurm:
        raise ConfigError("--no-wait has no effect without jobs of Slurm; add +cluster=slurm, or leave it out")
    run = read_run_entry(run_dir)
    queued = settle_ended(run_dir)
    now = standing(run_dir)
    left = [entry for entry in now.left(flags.retry_failed) if entry["id"] not in queued]
    if len(left) < len(now.entries):
        _tell(now, left)
        _require_same_kind(run_dir, now, left, cluster, flags)
    plots, report = run.get("plots", True), run.get("report", True)
    try:
        if left and any(key.startswith(("hydra/launcher", "hydra.launcher")) for key in overrides.typed):
            _launch(run_dir, overrides)
        elif left and cluster.is_slurm:
            _submit(run_dir, left, cluster)
        elif left and cluster.gpus == ALL:
            measure_on_all(run_dir, left, devices())
        elif left:
            measure_here(run_dir, left)
        if flags.no_wait:
            return 0
        wait(run_dir)
        stop_if_requested()
    except KeyboardInterrupt:
        collect(run_dir, plots=plots, report=report)
        raise
    except (OSError, Mistake):
        with contextlib.suppress(OSError, Mistake):  # what can still be said about the cells before
            if standing(run_dir).begun:
                collect(run_dir, plots=False, report=False)
        raise
    return collect(run_dir, plots=plots, report=report)


def _require_same_kind(
    run_dir: Path, now: Standing, left: Sequence[FrozenEntry], cluster: ClusterConfig, flags: RunFlags
) -> None:
    """Raise ConfigError if cells were measured by other software, or on another machine, unless --force is given."""
    measured = [one for one, state in now.states.items() if state.status == "done"]
    if not left or not (found := differences(run_dir, measured, same_machine=not cluster.is_slurm)):
        return
    told = f"{_counted(len(measured))} of {from_here(run_dir)} were measured otherwise: {'; '.join(found)}"
    if not flags.force:
        raise ConfigError(f"{told}; give --force to measure the rest all the same, or choose a new folder")
    print(f"{told}; the rest is measured all the same (--force)", file=sys.stderr)


def _tell(now: Standing, left: Sequence[FrozenEntry]) -> None:
    print(f"{now.told()}; {_counted(len(left))} to measure", file=sys.stderr)
    if given_up := [entry for entry in now.given_up() if entry not in left]:
        print(
            f"{_counted(len(given_up))} failed in {now.states[given_up[0]['id']].tries} tries and stay so; "
            "--retry-failed measures them again",
            file=sys.stderr,
        )


def _launch(run_dir: Path, overrides: Overrides) -> None:
    """Have the launcher that was asked for run the jobs. Where it says that one died, its cell has failed rows."""
    folder = quoted(str(run_dir))
    try:
        launch([*overrides.arguments, f"hydra.sweep.dir={folder}", f"hydra.run.dir={folder}"])
    except (OSError, Mistake):
        raise
    except Exception as error:  # each launcher has its own
        print(f"decodebench: a job died: {described(error)}", file=sys.stderr)
        for entry in dead_of(error, standing(run_dir)):
            write_dead(run_dir, entry, f"its job died: {described(error)}")


def _submit(run_dir: Path, left: Sequence[FrozenEntry], cluster: ClusterConfig) -> None:
    """Submit a job for each cell, say which, and note them in run.json."""
    for jobs in submit(run_dir, left, cluster):
        note_jobs(run_dir, jobs)
        print(f"submitted {_counted(len(jobs))} as {'job' if len(jobs) == 1 else 'jobs'} {job_ids(jobs)}")
    print(f"python -m suites collect {from_here(run_dir)} says how far they are; --resume measures what is left")


def _write_plan(run_dir: Path, overrides: Overrides, plan: Sequence[Planned]) -> None:
    """Write config.yaml, environment.json, plan.jsonl and run.json, before anything runs. The last makes it a run."""
    first = plan[0].job
    write_text(run_dir / "config.yaml", first.yaml)
    write_json(run_dir / "environment.json", environment())
    write_plan(run_dir, (one.frozen() for one in plan))
    write_json(
        run_dir / "run.json",
        {
            "schema": SCHEMA,
            "command": shlex.join(["python", "-m", "suites", "run", *overrides.given]),
            "sweep": overrides.sweep,
            "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "plots": first.config.plots,
            "report": first.config.report,
            "cluster": asdict(first.config.cluster),
            "plan": [one.written() for one in plan],
        },
    )
