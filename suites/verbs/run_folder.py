"""A run from its plan to its summary, in a new folder or in one that holds a part of it."""

from __future__ import annotations

import datetime
import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from ..jobs.devices import require_devices
from ..jobs.planned import Planned, planned
from ..jobs.same_plan import difference
from ..jobs.slurm import require_slurm
from ..machine.environment import environment
from ..machine.signals import handled
from ..settings.cluster import ALL, ClusterConfig
from ..settings.cluster_changed import changed
from ..settings.config import ConfigError
from ..settings.overrides import Job, Overrides, read_overrides
from ..settings.resources import refuse_cluster
from ..settings.rules import shown
from ..store.files import exists, write_json, write_text
from ..store.folders import from_here, make_run_dir
from ..store.locks import locked, run_lock
from ..store.plan import read_plan, write_plan
from ..store.schema import SCHEMA, read_run_entry
from ..telling.beforehand import told
from ..words.quantity import counted, quantity
from .run_flags import FORCE, RESUME, RETRY_FAILED, RunFlags
from .run_left import go_on

BUSY = "{folder} is being run by {{holder}}; wait for its end, or choose another folder by hydra.run.dir=DIR"


@handled()
def measure_jobs(overrides: Overrides, jobs: list[Job], flags: RunFlags | None = None) -> tuple[Path, int]:
    """Measure all jobs. Returns (the run folder, 0 if every case was measured or skipped, else 1).

    A folder that was asked for and holds a run of the same plan is gone on with. Raises ConfigError if it holds another
    run, BusyError if another process runs it, and Stopped after a signal to stop, once tables, plots and summary are
    made of what there is.
    """
    flags, plan = flags or RunFlags(), planned(jobs)
    _require_place(jobs[0].config.cluster, [job.config.isolate for job in jobs], flags)
    _refuse_idle_flags(overrides, flags)
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
            print(f"{counted(len(plan), 'cell')}, {flops} predicted", file=sys.stderr)
            for line in told(job.config for job in jobs):
                print(line, file=sys.stderr)
            _write_plan(run_dir, overrides, plan)
        launched = overrides if any(map(_is_launcher, overrides.typed)) else None
        return run_dir, go_on(run_dir, launched, flags, jobs[0].config.cluster)


@handled()
def resume(flags: RunFlags, rest: Sequence[str]) -> tuple[Path, int]:
    """Go on with the run of the folder ``flags.resume``; the same result as ``measure_jobs``."""
    assert flags.resume is not None
    for argument in rest:
        if not argument.lstrip("+").startswith(("cluster=", "cluster.")):
            raise ConfigError(f"{shown(argument)} has no effect beside {RESUME}, as the run has its plan; leave it out")
    run_dir = flags.resume.resolve()  # a link such as results/latest may be set anew meanwhile
    run, plan = read_run_entry(run_dir), read_plan(run_dir)
    typed = read_overrides([*rest]).typed
    cluster = changed(run.get("cluster", {}), typed)
    _require_place(cluster, [entry.get("isolate", "auto") for entry in plan], flags)
    for device, threads in {(entry["cell"]["device"], entry["cell"]["threads"]) for entry in plan}:
        refuse_cluster(cluster, device, threads)
    launched = _launched(run.get("command", ""))
    if launched and typed:
        raise ConfigError(f"{rest[0]} has no effect on a run whose command has hydra/launcher; leave it out")
    with locked(run_lock(run_dir), BUSY.format(folder=run_dir)):
        return run_dir, go_on(run_dir, launched, flags, cluster)


def _require_place(cluster: ClusterConfig, isolates: Collection[str], flags: RunFlags) -> None:
    """Raise ConfigError if cells cannot be measured where they are meant to be. ``isolates``: how they are isolated."""
    if flags.no_wait and not cluster.is_slurm:
        raise ConfigError("--no-wait has no effect without jobs of Slurm; add +cluster=slurm, or leave it out")
    if cluster.is_slurm:
        require_slurm()
    elif cluster.gpus == ALL:
        require_devices(isolates)


def _refuse_idle_flags(overrides: Overrides, flags: RunFlags) -> None:
    """Raise ConfigError for flags that are about a run that was begun, where a new one begins."""
    begun = overrides.run_dir is not None and exists(overrides.run_dir / "run.json")
    idle = [flag for flag in flags.given if flag in (RETRY_FAILED, FORCE)]
    if idle and not begun:
        raise ConfigError(f"{idle[0]} has no effect on a new run; give {RESUME} DIR, or leave it out")


def _launched(command: str) -> Overrides | None:
    """The command of a run, where it asks for a launcher of Hydra; None elsewhere.

    The plan is frozen, so nothing else is read from the command: what it names may be gone.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # run.json was edited
        return None
    return read_overrides(words[words.index("run") + 1 :]) if "run" in words and any(map(_is_launcher, words)) else None


def _is_launcher(word: str) -> bool:
    """Whether a key or an argument is about Hydra's launchers."""
    return word.startswith(("hydra/launcher", "hydra.launcher"))


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
