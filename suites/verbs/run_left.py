"""What is left of a run, measured where it is meant to be, and collected."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from strategies import Mistake
from strategies.models.message_text import described

from ..jobs.dead import dead_of, write_dead
from ..jobs.devices import devices, measure_on_all
from ..jobs.differences import differences
from ..jobs.hydra_jobs import launch
from ..jobs.local import measure_here
from ..jobs.queue import job_ids, note_jobs, queued_told, settle_ended, wait
from ..jobs.slurm import SlurmError, submit
from ..jobs.states import Standing, standing
from ..machine.signals import stop_if_requested
from ..settings.cluster import ALL, ClusterConfig
from ..settings.config import ConfigError
from ..settings.overrides import Overrides
from ..settings.quoting import quoted
from ..settings.resources import device_here
from ..store.folders import from_here
from ..store.plan_entries import FrozenEntry, JobEntry
from ..store.schema import read_run_entry
from ..words.labels import plain
from ..words.quantity import counted
from .collected import collect
from .run_flags import RESUME, RunFlags


def go_on(run_dir: Path, launched: Overrides | None, flags: RunFlags, cluster: ClusterConfig) -> int:
    """Measure what is left of a run and collect it. Returns the exit code.

    ``launched``: the command line, where it asks for a launcher of Hydra.
    """
    queued = _queued(run_dir, flags)
    now = standing(run_dir)
    has_cuda = cluster.is_slurm or device_here() == "cuda"
    left = [entry for entry in now.left(flags.retry_failed, has_cuda) if entry["id"] not in queued]
    if now.begun or queued:
        _tell(now, left, queued)
        _require_same_kind(run_dir, now, left, not (cluster.is_slurm or launched), flags)
    run = read_run_entry(run_dir)
    plots, report = run.get("plots", True), run.get("report", True)
    try:
        if left and launched:
            _launch(run_dir, launched, [entry["id"] for entry in left])
        elif left and cluster.is_slurm:
            _submit(run_dir, left, cluster)
        elif left and cluster.gpus == ALL:
            measure_on_all(run_dir, left, devices())
        elif left:
            measure_here(run_dir, left)
        if flags.no_wait:
            return 0
        if queued or cluster.is_slurm:  # jobs of an earlier Slurm run may have been taken for ended
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


def _queued(run_dir: Path, flags: RunFlags) -> Mapping[str, tuple[str, str]]:
    """Cells whose jobs still wait or run, each with the job's state and Slurm's reason.

    Raises ConfigError if Slurm cannot be asked, unless --force is given.
    """
    try:
        return settle_ended(run_dir)
    except SlurmError as error:
        if not flags.force:
            raise ConfigError(f"{error}, or give --force to take the jobs for ended") from None
        print(f"{error}; they are taken for ended (--force)", file=sys.stderr)
        return {}


def _require_same_kind(
    run_dir: Path, now: Standing, left: Sequence[FrozenEntry], same_machine: bool, flags: RunFlags
) -> None:
    """Raise ConfigError if cells were measured by other software, or on another machine, unless --force is given."""
    measured = [one for one, state in now.states.items() if state.status == "done"]
    if not left or not (found := differences(run_dir, measured, same_machine=same_machine)):
        return
    were = "was" if len(measured) == 1 else "were"
    told = f"{counted(len(measured), 'cell')} of {from_here(run_dir)} {were} measured otherwise: {'; '.join(found)}"
    if not flags.force:
        raise ConfigError(f"{told}; give --force to measure the rest all the same, or choose a new folder")
    print(f"{told}; the rest is measured all the same (--force)", file=sys.stderr)


def _tell(now: Standing, left: Sequence[FrozenEntry], queued: Mapping[str, tuple[str, str]]) -> None:
    what = counted(len(left), "cell") if left else "nothing"
    print(f"{now.told()}{queued_told(queued)}; {what} to measure", file=sys.stderr)
    if queued:
        told = "their jobs, which stay as they are; scancel them and resume, to submit them anew"
        print(f"{counted(len(queued), 'cell')} left to {told}", file=sys.stderr)
    elif not left and not now.running:
        print("tables, plots and report are made again", file=sys.stderr)
    if given_up := now.given_up(left):
        last = next((f" (last: {plain(state.reason)})" for state in given_up if state.reason), "")
        stay, them = ("stays", "it") if len(given_up) == 1 else ("stay", "them")
        failed = f"{counted(len(given_up), 'cell')} failed in {given_up[0].tries} tries{last} and {stay} so"
        print(f"{failed}; --retry-failed measures {them} again", file=sys.stderr)


def _launch(run_dir: Path, overrides: Overrides, left: Collection[str]) -> None:
    """Have the launcher that was asked for measure the cells ``left``. One whose job died has failed rows."""
    folder = quoted(str(run_dir))
    try:
        launch([*overrides.arguments, f"hydra.sweep.dir={folder}", f"hydra.run.dir={folder}"], left)
    except (OSError, Mistake):
        raise
    except Exception as error:  # each launcher has its own
        print(f"decodebench: a job died: {described(error)}", file=sys.stderr)
        for entry in dead_of(error, standing(run_dir)):
            write_dead(run_dir, entry, f"its job died: {described(error)}")


def _submitted(run_dir: Path, left: Sequence[FrozenEntry], cluster: ClusterConfig) -> Iterator[list[JobEntry]]:
    """``submit``; where Slurm refuses, the message says how to submit the rest."""
    try:
        yield from submit(run_dir, left, cluster)
    except SlurmError as error:
        folder = quoted(str(from_here(run_dir)))
        raise ConfigError(f"{error}; give other cluster.* to `run {RESUME} {folder}`") from None


def _submit(run_dir: Path, left: Sequence[FrozenEntry], cluster: ClusterConfig) -> None:
    """Submit a job for each cell, say which, and note them in run.json."""
    for jobs in _submitted(run_dir, left, cluster):
        note_jobs(run_dir, jobs)
        print(f"submitted {counted(len(jobs), 'cell')} as {'job' if len(jobs) == 1 else 'jobs'} {job_ids(jobs)}")
    print(f"how far they are: python -m suites collect {quoted(str(from_here(run_dir)))}")
